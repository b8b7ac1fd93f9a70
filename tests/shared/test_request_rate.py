"""The plan's requests per minute reach the API's throttle."""

from __future__ import annotations

import pytest

from engine.tenancy.context import OrganizationContext, organization, public_schema
from shared.organizations import limits
from shared.organizations.models import Organization


@pytest.fixture(autouse=True)
def forget() -> None:
    limits._cache.clear()


def test_the_rate_is_the_plans(org_a: OrganizationContext) -> None:
    with public_schema():
        plan = Organization.objects.select_related("plan").get(id=org_a.id).plan
    with organization(org_a):
        rate = limits.request_rate()
    assert rate is not None
    assert (rate.limit, rate.seconds) == (plan.requests_per_minute_max, 60)


@pytest.mark.usefixtures("db")
def test_the_platform_itself_has_no_plan() -> None:
    with public_schema():
        assert limits.request_rate() is None


def test_a_changed_plan_takes_effect_after_a_while(org_a: OrganizationContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def limit() -> int:
        with organization(org_a):
            rate = limits.request_rate()
        assert rate is not None
        return rate.limit

    before = limit()
    with public_schema():
        plan = Organization.objects.select_related("plan").get(id=org_a.id).plan
        plan.requests_per_minute_max = before + 1
        plan.save()
    assert limit() == before
    later = limits.monotonic() + 31
    monkeypatch.setattr(limits, "monotonic", lambda: later)
    assert limit() == before + 1
