"""Lists page by page."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from engine.idempotency.models import IdempotencyKey
from engine.tenancy.context import OrganizationContext, organization
from tests.conftest import client_of
from tests.engine.api.sample import MEMBER
from tests.engine.api.test_problems import problem_of

pytestmark = pytest.mark.usefixtures("db")


def add(count: int, endpoint: str = "a") -> list[str]:
    rows = [
        IdempotencyKey.objects.create(
            principal_kind="member",
            principal_id=MEMBER.id,
            endpoint=endpoint,
            key_hash=f"{endpoint}{number}".encode(),
            body_hash=b"b",
            status=200,
            sealed_answer=b"s",
        )
        for number in range(count)
    ]
    return [row.public_id for row in rows]


def walk(client: APIClient, limit: int, query: str = "") -> list[list[str]]:
    pages, cursor = [], None
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        page = client.get(f"/v1/things?limit={limit}{query}{more}").json()
        pages.append([item["id"] for item in page["data"]])
        cursor = page["next_cursor"]
        if cursor is None:
            return pages


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8, 100])
def test_each_row_comes_once_newest_first(signed_in: APIClient, org_a: OrganizationContext, limit: int) -> None:
    with organization(org_a):
        made = add(7)
    pages = walk(signed_in, limit)
    assert [row for page in pages for row in page] == made[::-1]
    assert len(pages) == -(-7 // limit)


def test_rows_made_meanwhile_do_not_shift_the_pages(signed_in: APIClient, org_a: OrganizationContext) -> None:
    with organization(org_a):
        made = add(4)
    first = signed_in.get("/v1/things?limit=2").json()
    with organization(org_a):
        add(3, "later")
    second = signed_in.get(f"/v1/things?limit=2&cursor={first['next_cursor']}").json()
    assert [item["id"] for item in second["data"]] == made[:2][::-1]
    assert second["next_cursor"] is None


def test_an_empty_list_is_a_page(signed_in: APIClient) -> None:
    assert signed_in.get("/v1/things").json() == {"data": [], "next_cursor": None}


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1.5", "", "１", "99999999999", "1 "])
def test_a_limit_out_of_range(signed_in: APIClient, limit: str) -> None:
    body = problem_of(signed_in.get("/v1/things", {"limit": limit}), 400, "invalid_limit")
    assert body["errors"][0]["field"] == "limit"


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "ü", "e30", "%", "x" * 5000])
def test_a_cursor_that_is_garbage(signed_in: APIClient, cursor: str) -> None:
    problem_of(signed_in.get("/v1/things", {"cursor": cursor}), 400, "invalid_cursor")


def test_a_cursor_is_good_for_its_own_list_only(
    signed_in: APIClient, org_a: OrganizationContext, org_b: OrganizationContext
) -> None:
    with organization(org_a):
        add(3)
    cursor = signed_in.get("/v1/things?limit=1").json()["next_cursor"]
    other = client_of(org_b)
    other.credentials(HTTP_AUTHORIZATION="Bearer member")
    problem_of(other.get("/v1/things", {"cursor": cursor}), 400, "invalid_cursor")
    problem_of(signed_in.get("/v1/things", {"cursor": cursor, "endpoint": "a"}), 400, "invalid_cursor")
    tampered = cursor[:-4] + ("AAAA" if cursor[-4:] != "AAAA" else "BBBB")
    problem_of(signed_in.get("/v1/things", {"cursor": tampered}), 400, "invalid_cursor")
