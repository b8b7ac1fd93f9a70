"""Webhooks over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import standardwebhooks

from engine import ids
from engine.outbox.inline import drain
from engine.tenancy.context import organization
from tenants.events import services as events
from tenants.events.events import Event as Fact
from tests.factories import access


@dataclass(frozen=True, kw_only=True)
class ThingHappened(Fact):
    type: ClassVar[str] = "thing.happened"
    thing: str = "thg_1"


@pytest.fixture
def api(org_a, http_a):
    return access.signed_in(http_a, access.member_token(org_a))


@pytest.fixture
def other(org_b, http_b):
    return access.signed_in(http_b, access.member_token(org_b))


def create(api, **fields):
    return api.post("/v1/webhook-endpoints", {"url": "https://shop.example/hooks", "event_types": ["*"], **fields})


def happen(context):
    with organization(context):
        events.record(event=ThingHappened())
    drain(raise_errors=True)


def test_the_life_of_an_endpoint(api):
    made = create(api, description="shop")
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    path = f"/v1/webhook-endpoints/{made.json()['id']}"
    seen = api.get(path)
    assert "secret" not in seen.json()
    assert seen.json() == {name: value for name, value in made.json().items() if name != "secret"}
    assert api.get(path, headers={"If-None-Match": seen["ETag"]}).status_code == 304
    changed = api.patch(path, {"enabled": False}, headers={"If-Match": seen["ETag"]})
    assert (changed.json()["status"], changed.json()["disabled_reason"]) == ("disabled", "requested")
    assert api.patch(path, {"enabled": True}, headers={"If-Match": seen["ETag"]}).status_code == 412
    assert [each["id"] for each in api.get("/v1/webhook-endpoints").json()["data"]] == [made.json()["id"]]
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404
    assert api.get("/v1/webhook-endpoints").json()["data"] == []


def test_a_repeated_creation_answers_the_same_secret(api):
    key = {"Idempotency-Key": "one"}
    given = {"url": "https://shop.example/hooks", "event_types": ["*"]}
    first = api.post("/v1/webhook-endpoints", given, headers=key)
    second = api.post("/v1/webhook-endpoints", given, headers=key)
    assert first.json() == second.json()
    assert len(api.get("/v1/webhook-endpoints").json()["data"]) == 1


def test_a_rotated_secret_verifies(org_a, api, receiver):
    made = create(api, url=receiver.url).json()
    rotated = api.post(f"/v1/webhook-endpoints/{made['id']}/rotate-secret", {"overlap_hours": 0})
    assert rotated.status_code == 200
    happen(org_a)
    (request,) = receiver.received
    standardwebhooks.Webhook(rotated.json()["secret"]).verify(request.body, request.headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(made["secret"]).verify(request.body, request.headers)


def test_deliveries_are_listed_read_and_replayed(org_a, api, receiver):
    receiver.status = 500
    endpoint = create(api, url=receiver.url).json()["id"]
    happen(org_a)
    (delivery,) = api.get(f"/v1/webhook-deliveries?state=pending&webhook_endpoint={endpoint}").json()["data"]
    assert (delivery["attempts"], delivery["event_type"], delivery["sequence"]) == (1, "thing.happened", 1)
    assert api.get("/v1/webhook-deliveries?state=delivered").json()["data"] == []
    detail = api.get(f"/v1/webhook-deliveries/{delivery['id']}").json()
    (attempt,) = detail["attempt_log"]
    assert (attempt["number"], attempt["status"], attempt["error"]) == (1, 500, "refused")
    receiver.status = 200
    again = api.post(f"/v1/webhook-deliveries/{delivery['id']}/replay")
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    drain(raise_errors=True)
    assert api.get(f"/v1/webhook-deliveries/{delivery['id']}").json()["state"] == "delivered"


def test_a_replay_to_a_disabled_endpoint_is_a_conflict(org_a, api, receiver):
    endpoint = create(api, url=receiver.url).json()["id"]
    happen(org_a)
    (delivery,) = api.get("/v1/webhook-deliveries").json()["data"]
    api.patch(f"/v1/webhook-endpoints/{endpoint}", {"enabled": False})
    refused = api.post(f"/v1/webhook-deliveries/{delivery['id']}/replay")
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_endpoint_not_enabled")


def test_another_organization_sees_nothing(org_a, api, other, receiver):
    endpoint = create(api, url=receiver.url).json()["id"]
    happen(org_a)
    (delivery,) = api.get("/v1/webhook-deliveries").json()["data"]
    paths = {
        "get": [f"/v1/webhook-endpoints/{endpoint}", f"/v1/webhook-deliveries/{delivery['id']}"],
        "patch": [f"/v1/webhook-endpoints/{endpoint}"],
        "delete": [f"/v1/webhook-endpoints/{endpoint}"],
        "post": [f"/v1/webhook-endpoints/{endpoint}/rotate-secret", f"/v1/webhook-deliveries/{delivery['id']}/replay"],
    }
    for method, each in paths.items():
        for path in each:
            assert getattr(other, method)(path).status_code == 404, (method, path)
    assert other.get("/v1/webhook-deliveries").json()["data"] == []
    assert other.get(f"/v1/webhook-deliveries?webhook_endpoint={endpoint}").json()["data"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "ftp://shop.example", "event_types": ["*"]}, "url"),
        ({"url": 5, "event_types": ["*"]}, "url"),
        ({"url": "https://shop.example", "event_types": []}, "event_types"),
        ({"url": "https://shop.example", "event_types": "*"}, "event_types"),
        ({"url": "https://shop.example", "event_types": ["No"]}, "event_types.0"),
        ({"url": "https://shop.example", "event_types": [{}]}, "event_types.0"),
        ({"event_types": ["*"]}, "url"),
        ({"url": "https://shop.example", "event_types": ["*"], "secret": "mine"}, "secret"),
        ({"url": "https://shop.example", "event_types": ["*"], "api_version": "1"}, "api_version"),
    ],
)
def test_nonsense_is_named(api, body, field):
    refused = api.post("/v1/webhook-endpoints", body)
    assert refused.status_code == 400
    assert refused["Content-Type"] == "application/problem+json"
    assert field in [error["field"] for error in refused.json()["errors"]]


def test_permissions(org_a, http_a, api):
    analyst = access.signed_in(http_a, access.member_token(org_a, role="analyst"))
    assert create(analyst).status_code == 403


def test_anonymous(http_a):
    assert http_a.get("/v1/webhook-endpoints").status_code == 401
    assert http_a.get(f"/v1/webhook-endpoints/{ids.encode('we', ids.uuid7())}").status_code == 401
