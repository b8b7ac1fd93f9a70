from __future__ import annotations

import pytest

from engine.ids import uuid7
from engine.principals import Principal
from engine.tenancy.context import organization
from tenants.audit import services
from tests.factories import access


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
