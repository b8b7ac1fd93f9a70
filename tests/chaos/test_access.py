"""`make chaos NAME=access` at a size for every day, and the holes that it has to notice."""

from __future__ import annotations

from typing import Any

import pytest

from engine.tenancy.context import OrganizationContext, organization
from tenants.access import policy
from tenants.access.rules import holdings, limits
from tests.chaos import access
from tests.harness.live import LiveDatabase


def test_check_list_explain_and_the_reference_agree(live_db: LiveDatabase, org_a: OrganizationContext) -> None:
    report = access.run(worlds=200, number=4, organization=org_a, say=False)

    assert report.ok, report.line()


def test_planted_a_token_that_stays_the_same_is_noticed(
    live_db: LiveDatabase, org_a: OrganizationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with organization(org_a):
        policy.bump_policy_revision()
    monkeypatch.setattr(policy, "bump_policy_revision", lambda: 1)

    assert not access.run(worlds=10, number=4, organization=org_a, say=False).ok


@pytest.mark.parametrize(
    ("module", "name", "wrong"),
    [
        (limits.Hours, "include", lambda self, local: True),
        (holdings.HeldGrant, "covers", lambda self, where: True),
    ],
)
def test_planted_a_rule_that_always_holds_is_noticed(
    module: Any,
    name: str,
    wrong: Any,
    live_db: LiveDatabase,
    org_a: OrganizationContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, name, wrong)

    assert not access.run(worlds=20, number=4, organization=org_a, say=False).ok
