"""What is kept between decisions is good until the policy changes, and for one organization only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from engine.principals import Principal
from engine.tenancy.context import OrganizationContext, organization
from tenants.access import policy, services, snapshot

pytestmark = pytest.mark.usefixtures("live_db")


def _allowed(who: Principal) -> bool:
    return services.check(principal=who, permission="sites.read").allowed


def test_a_decision_reads_the_revision_and_no_grants(
    org_a: OrganizationContext, django_assert_num_queries: Any
) -> None:
    who = Principal(kind="app", id=uuid4())
    with organization(org_a):
        grant = services.grant_role(principal=who, role="auditor")
        with django_assert_num_queries(1) as first:
            assert _allowed(who)
        with django_assert_num_queries(1) as again:
            assert _allowed(who)
        assert "access_grant" in first.captured_queries[0]["sql"]
        assert "access_grant" not in again.captured_queries[0]["sql"]

        services.revoke_grant(grant_id=grant.id, by=policy.SYSTEM)

        with django_assert_num_queries(2):
            assert not _allowed(who)


def test_the_same_principal_of_another_organization_holds_nothing_there(
    org_a: OrganizationContext, org_b: OrganizationContext
) -> None:
    who = Principal(kind="app", id=uuid4())
    with organization(org_a):
        services.grant_role(principal=who, role="auditor")
        assert _allowed(who)
    with organization(org_b):
        assert not _allowed(who)


def test_planted_a_key_without_the_organization_is_noticed(
    org_a: OrganizationContext, org_b: OrganizationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "current_organization", lambda: replace(org_a))
    who = Principal(kind="app", id=uuid4())
    with organization(org_a):
        services.grant_role(principal=who, role="auditor")
        assert _allowed(who)
        kept = next(entry for key, entry in snapshot._kept.items() if key[2] == who.id)
    monkeypatch.setattr(snapshot, "_READ_REVISION", f"SELECT '{kept[0]}'")
    with organization(org_b):
        assert _allowed(who)


def test_what_is_rolled_back_is_never_kept(org_a: OrganizationContext) -> None:
    who = Principal(kind="app", id=uuid4())
    with organization(org_a):
        with transaction.atomic():
            services.grant_role(principal=who, role="auditor")
            assert _allowed(who)
            transaction.set_rollback(True)
        assert not _allowed(who)


def test_a_change_does_not_see_what_it_began_with(org_a: OrganizationContext) -> None:
    """Deciding in the middle of a change must not keep the old grants under the new token."""
    who = Principal(kind="app", id=uuid4())
    with organization(org_a):
        grant = services.grant_role(principal=who, role="auditor")
        with transaction.atomic():
            policy.bump_policy_revision()
            assert _allowed(who)
            policy.delete_grant(grant, by=policy.SYSTEM)
        assert not _allowed(who)
