from __future__ import annotations

from engine.tenancy.context import organization
from tenants.usage import services
from tests.factories import access


def test_records_of_a_metric(org_a, org_b, http_a, http_b):
    with organization(org_a):
        record = services.record(metric="checkouts", quantity=2, source_id="chk_1")
        services.record(metric="identifications", quantity=1, source_id="chk_1")
    api = access.signed_in(http_a, access.member_token(org_a))
    (found,) = api.get("/v1/usage-records?metric=checkouts").json()["data"]
    assert (found["id"], found["quantity"], found["source_id"]) == (record.public_id, 2, "chk_1")
    other = access.signed_in(http_b, access.member_token(org_b))
    assert other.get("/v1/usage-records").json()["data"] == []


def test_permissions(org_a, http_a):
    assert http_a.get("/v1/usage-records").status_code == 401
    nobody = access.signed_in(http_a, access.member_token(org_a, role=None))
    assert nobody.get("/v1/usage-records").status_code == 403
