"""Sites over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from engine.tenancy.context import OrganizationContext
from tests.conftest import client_of
from tests.factories import access as factory


@pytest.fixture
def admin(org_a: OrganizationContext, http_a: APIClient) -> APIClient:
    return factory.signed_in(http_a, factory.member_token(org_a, "admin"))


def test_make_get_rename_and_move(admin: APIClient) -> None:
    top = admin.post("/v1/sites", {"name": "Lisbon", "time_zone": "Europe/Lisbon"}).json()
    made = admin.post("/v1/sites", {"name": "Gate", "parent_id": top["id"]})
    assert made.status_code == 201
    site = made.json()
    assert site["parent_id"] == top["id"]
    assert (site["time_zone"], site["effective_time_zone"]) == ("", "Europe/Lisbon")

    got = admin.get(f"/v1/sites/{site['id']}")
    assert got.json() == site
    assert got["ETag"] == made["ETag"]

    changed = admin.patch(f"/v1/sites/{site['id']}", {"name": "Door", "parent_id": None}, HTTP_IF_MATCH=got["ETag"])
    assert changed.status_code == 200
    assert (changed.json()["name"], changed.json()["parent_id"]) == ("Door", None)
    assert changed.json()["effective_time_zone"] == "Europe/Berlin"
    assert changed["ETag"] != got["ETag"]


def test_nobody_overwrites_what_they_have_not_seen(admin: APIClient) -> None:
    made = admin.post("/v1/sites", {"name": "Gate"})
    path = f"/v1/sites/{made.json()['id']}"
    admin.patch(path, {"name": "Door"}, HTTP_IF_MATCH=made["ETag"])

    stale = admin.patch(path, {"name": "Window"}, HTTP_IF_MATCH=made["ETag"])
    blind = admin.patch(path, {"name": "Window"})

    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert (blind.status_code, blind.json()["code"]) == (428, "precondition_required")
    assert admin.get(path).json()["name"] == "Door"


def test_a_site_cannot_be_moved_under_itself(admin: APIClient) -> None:
    top = admin.post("/v1/sites", {"name": "Top"}).json()
    low = admin.post("/v1/sites", {"name": "Low", "parent_id": top["id"]}).json()

    answer = admin.patch(f"/v1/sites/{top['id']}", {"parent_id": low["id"]}, HTTP_IF_MATCH="*")

    assert (answer.status_code, answer.json()["code"]) == (409, "site_cycle")
    assert answer.json()["errors"][0]["field"] == "parent_id"


def test_a_name_is_taken_once(admin: APIClient) -> None:
    admin.post("/v1/sites", {"name": "Gate"})

    answer = admin.post("/v1/sites", {"name": "gate"})

    assert (answer.status_code, answer.json()["code"]) == (409, "site_name_taken")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": 7}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": "x", "parent_id": "site_x"}, "parent_id"),
        ({"name": "x", "parent_id": 1}, "parent_id"),
        ({"name": "x", "time_zone": "Mars/Olympus"}, "time_zone"),
        ({"name": "x", "time_zone": None}, "time_zone"),
        ({"name": "x", "floor": 3}, "floor"),
    ],
)
def test_bad_input_is_named(body: Any, field: str, admin: APIClient) -> None:
    answer = admin.post("/v1/sites", body)

    assert answer.status_code == 400
    assert field in [error["field"] for error in answer.json()["errors"]]


@pytest.mark.parametrize("role", [None, "operator", "analyst", "auditor"])
def test_who_may_only_look(role: str | None, admin: APIClient, org_a: OrganizationContext) -> None:
    site = admin.post("/v1/sites", {"name": uuid4().hex}).json()
    client = factory.signed_in(client_of(org_a), factory.member_token(org_a, role))

    assert client.get("/v1/sites").status_code == (200 if role else 403)
    assert client.post("/v1/sites", {"name": "x"}).status_code == 403
    assert client.patch(f"/v1/sites/{site['id']}", {"name": "x"}, HTTP_IF_MATCH="*").status_code == 403


def test_pages(admin: APIClient) -> None:
    names = {admin.post("/v1/sites", {"name": f"Site {number}"}).json()["name"] for number in range(5)}
    seen: list[str] = []
    path = "/v1/sites?limit=2"
    while path:
        page = admin.get(path).json()
        seen += [one["name"] for one in page["data"]]
        path = f"/v1/sites?limit=2&cursor={page['next_cursor']}" if page["next_cursor"] else ""

    assert len(seen) == len(set(seen))
    assert names <= set(seen)
