"""Rate limits, counted in a real Valkey."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from ipaddress import ip_network

import pytest
from rest_framework.test import APIClient, APIRequestFactory

from engine import ids
from engine.api import throttles
from engine.api.throttles import Rate, spend
from engine.tenancy.context import OrganizationContext, organization
from tests.engine.api.sample import Mine
from tests.engine.api.test_problems import problem_of

pytestmark = pytest.mark.usefixtures("db")
RATE = Rate(limit=5, seconds=3600, name="test")


def test_a_burst_of_the_limit_passes_and_the_next_waits(in_org_a: OrganizationContext) -> None:
    key = str(ids.uuid7())
    verdicts = [spend(key=key, rate=RATE) for _ in range(7)]
    assert [verdict.allowed for verdict in verdicts] == [True] * 5 + [False] * 2
    assert [verdict.remaining for verdict in verdicts] == [4, 3, 2, 1, 0, 0, 0]
    assert 0 < verdicts[-1].retry_after <= 720
    assert verdicts[-1].reset_after <= 3600


def test_callers_and_organizations_are_counted_apart(org_a: OrganizationContext, org_b: OrganizationContext) -> None:
    key = str(ids.uuid7())
    with organization(org_a):
        for _ in range(6):
            last = spend(key=key, rate=RATE)
        assert not last.allowed
        assert spend(key=key + "x", rate=RATE).allowed
    with organization(org_b):
        assert spend(key=key, rate=RATE).remaining == 4


def test_requests_at_once_do_not_slip_through(in_org_a: OrganizationContext) -> None:
    key = str(ids.uuid7())
    contexts = [copy_context() for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(context.run, spend, key=key, rate=RATE) for context in contexts]
    assert sum(run.result().allowed for run in runs) == 5


def test_a_view_answers_429_and_says_when(signed_in: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    rate = Rate(limit=2, seconds=3600, name=f"view-{ids.uuid7().hex}")
    monkeypatch.setattr(Mine, "rate", rate, raising=False)
    first = signed_in.get("/v1/mine")
    assert first["RateLimit-Policy"] == f'"{rate.name}";q=2;w=3600'
    assert first["RateLimit"].startswith(f'"{rate.name}";r=1;t=')
    signed_in.get("/v1/mine")
    refused = signed_in.get("/v1/mine")
    problem_of(refused, 429, "rate_limited")
    assert 1 <= int(refused["Retry-After"]) <= 1800
    assert ";r=0;" in refused["RateLimit"]


def test_the_plan_of_the_organization_holds_for_all_its_callers_together(signed_in: APIClient) -> None:
    rate = Rate(limit=2, seconds=3600, name=f"plan-{ids.uuid7().hex}")
    previous = throttles.set_organization_rate(lambda: rate)
    try:
        assert signed_in.get("/v1/mine")["RateLimit"].startswith(f'"{rate.name}";r=1')
        signed_in.credentials(HTTP_AUTHORIZATION="Bearer other")
        assert signed_in.get("/v1/mine").status_code == 200
        problem_of(signed_in.get("/v1/mine"), 429, "rate_limited")
    finally:
        throttles.set_organization_rate(previous)


def test_an_anonymous_flood_does_not_use_the_plan_up(api: APIClient) -> None:
    rate = Rate(limit=1, seconds=3600, name=f"plan-{ids.uuid7().hex}")
    previous = throttles.set_organization_rate(lambda: rate)
    try:
        for _ in range(3):
            api.post("/v1/small", {})
        api.credentials(HTTP_AUTHORIZATION="Bearer member")
        assert api.get("/v1/mine").status_code == 200
    finally:
        throttles.set_organization_rate(previous)


def test_without_redis_requests_pass(in_org_a: OrganizationContext, settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert all(spend(key="k", rate=RATE).allowed for _ in range(7))


PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "made-up, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.7, 198.51.100.1, 10.2.3.4", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, nonsense", "10.0.0.1"),
        ("fd00::1", "2001:DB8::5", "2001:db8::5"),
        ("", "198.51.100.1", ""),
    ],
)
def test_a_proxy_is_believed_only_when_it_is_trusted(settings, peer: str, forwarded: str, found: str) -> None:
    settings.TRUSTED_PROXIES = PROXIES
    request = APIRequestFactory().get("/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=forwarded)
    assert throttles.client_address(request) == found


def test_without_settings_no_header_is_believed() -> None:
    request = APIRequestFactory().get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="198.51.100.1")
    assert throttles.client_address(request) == "10.0.0.1"
