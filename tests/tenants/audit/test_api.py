from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from engine.ids import uuid7
from engine.principals import Principal
from engine.tenancy.context import organization
from tenants.audit import services
from tests.factories import access, oauth


@pytest.fixture
def api(org_a, http_a):
    return access.signed_in(http_a, access.member_token(org_a, role="auditor"))


def test_entries_of_a_resource(org_a, org_b, http_b, api):
    actor = Principal(kind="app", id=uuid7(), display="Shop")
    with organization(org_a):
        entry = services.write(action="thing.make", actor=actor, resource="thg_1", detail={"n": 1})
    unsealed = api.get("/v1/audit-entries?resource=thg_1").json()["data"]
    assert unsealed[0]["sequence"] is None
    assert unsealed[0]["hash"] is None
    with organization(org_a):
        services.seal()
    (found,) = api.get("/v1/audit-entries?resource=thg_1").json()["data"]
    assert (found["id"], found["action"], found["detail"]) == (entry.public_id, "thing.make", {"n": 1})
    assert found["actor"] == {"kind": "app", "id": actor.public_id, "display": "Shop"}
    assert found["sequence"] >= 1
    assert len(found["hash"]) == 64
    other = access.signed_in(http_b, access.member_token(org_b))
    assert other.get("/v1/audit-entries?resource=thg_1").json()["data"] == []


def test_an_act_over_http_carries_its_request(org_a, http_a, api):
    owner = access.signed_in(type(http_a)(HTTP_HOST=http_a.defaults["HTTP_HOST"]), access.member_token(org_a))
    made = owner.post("/v1/webhook-endpoints", {"url": "https://shop.example/", "event_types": ["*"]})
    (found,) = api.get(f"/v1/audit-entries?resource={made.json()['id']}").json()["data"]
    assert found["request_id"] == made["Request-Id"]


def test_permissions(org_a, http_a):
    assert http_a.get("/v1/audit-entries").status_code == 401
    analyst = access.signed_in(http_a, access.member_token(org_a, role=None))
    assert analyst.get("/v1/audit-entries").status_code == 403


def _acts(org):
    people = [Principal(kind="member", id=uuid7(), display=name) for name in ("Ada", "Bob")]
    with organization(org):
        for hour, (actor, action) in enumerate([(0, "thing.make"), (1, "thing.make"), (0, "thing.drop")]):
            services.write(
                action=action,
                actor=people[actor],
                resource="thg_1",
                clock=lambda hour=hour: datetime(2030, 1, 1, hour, tzinfo=UTC),
            )
    return people


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("action=thing.make", [1, 0]),
        ("actor={ada}", [2, 0]),
        ("actor={ada}&action=thing.make", [0]),
        ("since=2030-01-01T01:00:00Z", [2, 1]),
        ("until=2030-01-01T01:00:00Z&resource=thg_1", [0]),
        ("since=2030-01-01T01:00:00Z&until=2030-01-01T02:00:00Z", [1]),
    ],
)
def test_search(org_a, api, query, found):
    ada, _ = _acts(org_a)
    answer = api.get(f"/v1/audit-entries?{query.format(ada=ada.public_id)}")
    assert [datetime.fromisoformat(one["created_at"]).hour for one in answer.json()["data"]] == found


@pytest.mark.parametrize("wrong", ["actor=xyz_1", "actor=mem_1", "action=Thing", "since=yesterday", "who=ada"])
def test_a_search_that_makes_no_sense(api, wrong):
    refused = api.get(f"/v1/audit-entries?{wrong}")
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == wrong.partition("=")[0]


def test_pages_cost_the_same_however_many_entries_there_are(org_a, api):
    def queries(limit):
        with CaptureQueriesContext(connection) as captured:
            page = api.get(f"/v1/audit-entries?action=thing.make&limit={limit}").json()
        return len(captured), page

    _acts(org_a)
    few, page = queries(1)
    assert (len(page["data"]), page["next_cursor"] is None) == (1, False)
    for _ in range(10):
        _acts(org_a)
    many, page = queries(20)
    assert (many, len(page["data"])) == (few, 20)


def test_an_entry_says_where_from_and_through_what(org_a, http_a, api):
    lent = oauth.member_app(org_a, delegated_scopes=("sites.write",))
    owner = access.member(org_a, "owner")
    token = lent.tokens(oauth.signed_in_browser(oauth.over_django(org_a), owner), scope="sites.write")["access_token"]
    client = access.signed_in(type(http_a)(HTTP_HOST=http_a.defaults["HTTP_HOST"]), token)
    made = client.post("/v1/sites", {"name": "North"}, REMOTE_ADDR="198.51.100.7")
    assert made.status_code == 201, made.content
    (found,) = api.get(f"/v1/audit-entries?resource={made.json()['id']}").json()["data"]
    assert (found["actor"]["id"], found["through"]) == (owner.principal.public_id, lent.client_id)
    assert found["address"] == "198.51.100.7"
