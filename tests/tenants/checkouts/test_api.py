"""The rules, PINs and lists over HTTP; the rows are made by hand, because nothing here recognises anybody."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from engine import ids
from engine.clock import utc_now
from engine.tenancy.context import OrganizationContext, organization
from tenants.access import services as access
from tenants.checkouts.models import Checkout, PersonPin
from tests.factories import access as access_factory
from tests.factories import payments as make
from tests.factories.devices import Enrolled, enrolled

RULES = {
    "limit_minor": 20_000,
    "confirmation_above_minor": 5_000,
    "probe_age_max_s": 30,
    "liveness_min": 0.8,
    "score_growth_per_tenfold": 0.03,
    "score_margin": 0.07,
}


@pytest.fixture
def owner(http_a: APIClient, org_a: OrganizationContext) -> APIClient:
    http_a.credentials(HTTP_AUTHORIZATION=f"Bearer {access_factory.member_token(org_a)}")
    return http_a


def declined(device: Enrolled, **fields: Any) -> Checkout:
    """A checkout that was declined, as its row."""
    now = utc_now()
    with organization(device.organization):
        values = {
            "device_id": device.id,
            "credential_id": device.credential_id,
            "site_id": device.site_id,
            "sequence": Checkout.objects.count() + 1,
            "frame_sha256": b"\1" * 32,
            "signature": b"\2" * 64,
            "amount_minor": 1250,
            "currency": device.organization.currency,
            "modality": "face",
            "model": "arc-1",
            "captured_at": now,
            "liveness_method": "passive",
            "liveness_score": 0.1,
            "state": "declined",
            "reason": "liveness_too_low",
            "worked_on_until": now,
            "finished_at": now,
        }
        return Checkout.objects.create(**values | fields)


def test_checkouts_are_listed_and_shown(owner: APIClient, org_a: OrganizationContext) -> None:
    first, second = enrolled(org_a), enrolled(org_a)
    mine, other = declined(first), declined(second)
    listed = owner.get("/v1/checkouts").json()["data"]
    assert [one["id"] for one in listed] == [other.public_id, mine.public_id]
    by_device = owner.get("/v1/checkouts", {"device": first.public_id}).json()["data"]
    assert [one["id"] for one in by_device] == [mine.public_id]
    assert owner.get("/v1/checkouts", {"state": "approved"}).json()["data"] == []
    shown = owner.get(f"/v1/checkouts/{mine.public_id}").json()
    assert shown == by_device[0]
    assert (shown["state"], shown["reason"]) == ("declined", "liveness_too_low")
    assert shown["liveness"] == {"method": "passive", "score": 0.1}
    assert shown["match"]["template"] is None


def test_whoever_has_a_role_at_one_site_sees_the_checkouts_there(http_a: APIClient, org_a: OrganizationContext) -> None:
    here, elsewhere = enrolled(org_a), enrolled(org_a)
    mine, other = declined(here), declined(elsewhere)
    member = access_factory.member(org_a, None)
    with organization(org_a):
        access.grant_role(principal=member.principal, role="analyst", scope="site", site_id=here.site_id)
    http_a.credentials(HTTP_AUTHORIZATION=f"Bearer {member.token}")
    assert [one["id"] for one in http_a.get("/v1/checkouts").json()["data"]] == [mine.public_id]
    assert http_a.get(f"/v1/checkouts/{mine.public_id}").status_code == 200
    assert http_a.get(f"/v1/checkouts/{other.public_id}").status_code == 404


@pytest.mark.parametrize(
    "query", [{"state": "lost"}, {"device": "per_1"}, {"person": "x"}, {"color": "red"}, {"limit": "0"}]
)
def test_a_filter_that_means_nothing_is_refused(owner: APIClient, query: dict[str, str]) -> None:
    assert owner.get("/v1/checkouts", query).status_code == 400


def test_checkouts_of_another_organization_do_not_exist(owner: APIClient, org_b: OrganizationContext) -> None:
    foreign = declined(enrolled(org_b))
    assert owner.get(f"/v1/checkouts/{foreign.public_id}").status_code == 404
    assert owner.get("/v1/checkouts").json()["data"] == []


def test_the_rules_are_replaced_by_whoever_has_seen_them(owner: APIClient) -> None:
    before = owner.get("/v1/checkout-policy")
    assert before.json()["version"] == 0
    tag = before["ETag"]
    assert owner.put("/v1/checkout-policy", RULES).status_code == 428
    changed = owner.put("/v1/checkout-policy", RULES, HTTP_IF_MATCH=tag)
    assert changed.status_code == 200, changed.content
    assert changed.json() == {**RULES, "version": 1}
    assert owner.put("/v1/checkout-policy", RULES, HTTP_IF_MATCH=tag).status_code == 412
    assert owner.get("/v1/checkout-policy").json() == changed.json()
    again = owner.put("/v1/checkout-policy", {**RULES, "limit_minor": 1_000_000}, HTTP_IF_MATCH=changed["ETag"])
    assert again.json()["version"] == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"limit_minor": 0}, "limit_minor"),
        ({"limit_minor": -1}, "limit_minor"),
        ({"limit_minor": 1.5}, "limit_minor"),
        ({"limit_minor": 10**15}, "limit_minor"),
        ({"confirmation_above_minor": 20_001}, "confirmation_above_minor"),
        ({"probe_age_max_s": 0}, "probe_age_max_s"),
        ({"liveness_min": 1.1}, "liveness_min"),
        ({"liveness_min": "high"}, "liveness_min"),
        ({"score_margin": -0.1}, "score_margin"),
        ({"score_growth_per_tenfold": 2}, "score_growth_per_tenfold"),
        ({"currency": "EUR"}, "currency"),
    ],
)
def test_bad_rules_name_the_field(owner: APIClient, change: dict[str, Any], field: str) -> None:
    tag = owner.get("/v1/checkout-policy")["ETag"]
    answer = owner.put("/v1/checkout-policy", {**RULES, **change}, HTTP_IF_MATCH=tag)
    assert answer.status_code == 400, answer.content
    assert [one["field"] for one in answer.json()["errors"]] == [field]


def test_a_pin_is_set_and_taken_away_and_never_read(owner: APIClient, org_a: OrganizationContext) -> None:
    with organization(org_a):
        person = ids.encode("per", make.person_id())
    path = f"/v1/people/{person}/pin"
    assert owner.put(path, {"pin": "4711"}).status_code == 204
    assert owner.get(path).status_code == 405
    assert owner.put(path, {"pin": "1234"}).json()["errors"][0]["field"] == "pin"
    assert owner.put(path, {"pin": 4711}).status_code == 400
    with organization(org_a):
        assert PersonPin.objects.count() == 1
    assert owner.delete(path).status_code == 204
    assert owner.delete(path).status_code == 204
    with organization(org_a):
        assert not PersonPin.objects.exists()


def test_people_of_another_organization_have_no_pin(owner: APIClient, org_b: OrganizationContext) -> None:
    with organization(org_b):
        person = ids.encode("per", make.person_id())
    assert owner.put(f"/v1/people/{person}/pin", {"pin": "4711"}).status_code == 404
    assert owner.delete(f"/v1/people/{person}/pin").status_code == 404


def test_whoever_has_no_role_gets_nothing(http_a: APIClient, org_a: OrganizationContext) -> None:
    http_a.credentials(HTTP_AUTHORIZATION=f"Bearer {access_factory.member_token(org_a, None)}")
    assert http_a.get("/v1/checkouts").status_code == 403
    assert http_a.get("/v1/checkout-policy").status_code == 403
    assert http_a.put("/v1/checkout-policy", RULES).status_code == 403
