"""Events over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
from django.db import transaction

from engine.tenancy.context import organization
from tenants.events import services
from tenants.events.events import Event as Fact
from tests.factories import access


@dataclass(frozen=True, kw_only=True)
class ThingHappened(Fact):
    type: ClassVar[str] = "thing.happened"
    thing: str


@pytest.fixture
def api(org_a, http_a):
    return access.signed_in(http_a, access.member_token(org_a))


def happen(context, count, *, seal=True):
    with organization(context):
        with transaction.atomic():
            rows = [services.record(event=ThingHappened(thing=f"thg_{n}")) for n in range(count)]
        if seal:
            services.seal()
    return [row.public_id for row in rows]


def mine(body):
    return [event for event in body["data"] if event["type"] == "thing.happened"]


def test_events_in_order_page_by_page(org_a, api):
    expected = happen(org_a, 5)
    found, cursor = [], ""
    while cursor is not None:
        page = api.get("/v1/events?limit=2" + (f"&cursor={cursor}" if cursor else "")).json()
        found += page["data"]
        cursor = page["next_cursor"]
    assert [event["sequence"] for event in found] == list(range(1, len(found) + 1))
    assert [event["id"] for event in found if event["type"] == "thing.happened"] == expected


def test_after_continues_without_a_gap(org_a, api):
    happen(org_a, 3)
    last = api.get("/v1/events").json()["data"][-1]["sequence"]
    assert api.get(f"/v1/events?after={last}").json()["data"] == []
    later = happen(org_a, 2)
    assert [event["id"] for event in api.get(f"/v1/events?after={last}").json()["data"]] == later


def test_an_unsealed_event_is_not_shown(org_a, api):
    (event_id,) = happen(org_a, 1, seal=False)
    assert mine(api.get("/v1/events").json()) == []
    assert api.get(f"/v1/events/{event_id}").status_code == 404


def test_one_event(org_a, api):
    (event_id,) = happen(org_a, 1)
    body = api.get(f"/v1/events/{event_id}").json()
    assert body["id"] == event_id
    assert body["data"] == {"thing": "thg_0"}
    assert (body["schema_version"], body["api_version"]) == (1, "2026-11-01")


def test_another_organization_sees_nothing(org_a, org_b, http_b):
    (event_id,) = happen(org_a, 1)
    other = access.signed_in(http_b, access.member_token(org_b))
    assert mine(other.get("/v1/events").json()) == []
    assert other.get(f"/v1/events/{event_id}").status_code == 404


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "9223372036854775808", "1e3", ""])
def test_a_number_is_a_number(api, after):
    refused = api.get(f"/v1/events?after={after}")
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "after"


def test_a_cursor_belongs_to_its_organization(org_a, org_b, api, http_b):
    happen(org_a, 3)
    cursor = api.get("/v1/events?limit=1").json()["next_cursor"]
    other = access.signed_in(http_b, access.member_token(org_b))
    assert other.get(f"/v1/events?limit=1&cursor={cursor}").status_code == 400


def test_anonymous(http_a):
    assert http_a.get("/v1/events").status_code == 401
