from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from engine import ids
from engine.tenancy.context import OrganizationContext, organization
from tenants.access import services as access
from tenants.audit.models import Entry
from tenants.devices.rules import proofs
from tests.factories import access as access_factory
from tests.factories import devices as factory
from tests.factories.device_keys import DeviceKey

NOBODY = "00000000000000000000000000"


@pytest.fixture
def owner(http_a: APIClient, org_a: OrganizationContext) -> APIClient:
    http_a.credentials(HTTP_AUTHORIZATION=f"Bearer {access_factory.member_token(org_a)}")
    return http_a


@pytest.fixture
def site(org_a: OrganizationContext) -> str:
    return ids.encode("site", factory.site_id(org_a))


def claim_body(org: OrganizationContext, code: str, key: DeviceKey) -> dict[str, Any]:
    proof = key.proof(typ=proofs.CLAIM, audience=f"{org.issuer}/v1/devices/claim", code=code)
    return {"code": code, "public_key": key.jwk, "proof": proof}


def test_from_a_code_to_a_device_and_its_end(owner: APIClient, org_a: OrganizationContext, site: str) -> None:
    made = owner.post("/v1/enrolment-codes", {"site": site, "name": "Till 1"})
    assert made.status_code == 201, made.content
    code = made.json()["code"]
    device_side = APIClient(HTTP_HOST=org_a.issuer.removeprefix("http://"))
    claimed = device_side.post("/v1/devices/claim", claim_body(org_a, code, DeviceKey()))
    assert claimed.status_code == 201, claimed.content
    name = claimed.json()["device"]
    assert claimed.json()["gateway_url"] == f"ws://{org_a.issuer.removeprefix('http://')}/v1/gateway"

    shown = owner.get(f"/v1/devices/{name}").json()
    assert (shown["site"], shown["name"], shown["status"], shown["is_online"]) == (site, "Till 1", "active", False)
    assert [one["id"] for one in owner.get("/v1/devices").json()["data"]] == [name]

    revoked = owner.post(f"/v1/devices/{name}/revoke")
    assert (revoked.status_code, revoked.json()["status"]) == (200, "revoked")
    assert owner.post(f"/v1/devices/{name}/revoke").json() == revoked.json()
    with organization(org_a):
        entries = Entry.objects.filter(resource=name).order_by("id").values_list("action", flat=True)
        assert list(entries) == ["device.enrolled", "device.revoked"]


def test_a_repeated_request_for_a_code_gets_the_same_code(owner: APIClient, site: str) -> None:
    body = {"site": site, "name": "Till 1"}
    answers = [owner.post("/v1/enrolment-codes", body, HTTP_IDEMPOTENCY_KEY="same") for _ in range(2)]
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"site": None}, "site"),
        ({"site": "dev_" + NOBODY}, "site"),
        ({"site": "site_" + NOBODY}, "site"),
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"kind": "toaster"}, "kind"),
        ({"role": "owner"}, "role"),
        ({"expires_in_s": 59}, "expires_in_s"),
        ({"expires_in_s": 10**9}, "expires_in_s"),
        ({"expires_in_s": "60"}, "expires_in_s"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_bad_request_for_a_code_names_the_field(
    owner: APIClient, site: str, change: dict[str, Any], field: str
) -> None:
    answer = owner.post("/v1/enrolment-codes", {"site": site, "name": "Till 1", **change})
    assert answer.status_code == 400, answer.content
    assert [one["field"] for one in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"code": "AAAA-AAAA-AAAA"}, "proof"),
        ({"code": "x"}, "code"),
        ({"public_key": {"kty": "OKP", "crv": "Ed25519"}}, "public_key.x"),
        ({"public_key": {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}}, "public_key"),
        ({"public_key": {**DeviceKey().jwk, "d": "private"}}, "public_key.d"),
        ({"proof": "nonsense"}, "proof"),
        ({"proof": None}, "proof"),
    ],
)
def test_a_bad_claim_names_the_field(
    http_a: APIClient, org_a: OrganizationContext, change: dict[str, Any], field: str
) -> None:
    body = claim_body(org_a, "K7QM-2X9D-T4WA", DeviceKey())
    answer = http_a.post("/v1/devices/claim", {**body, **change})
    assert answer.status_code == 400, answer.content
    assert [one["field"] for one in answer.json()["errors"]] == [field]


def test_devices_of_another_organization_do_not_exist(owner: APIClient, org_b: OrganizationContext) -> None:
    foreign = factory.enrolled(org_b).public_id
    assert owner.get(f"/v1/devices/{foreign}").status_code == 404
    assert owner.post(f"/v1/devices/{foreign}/revoke").status_code == 404
    assert owner.get("/v1/devices").json()["data"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/v1/enrolment-codes"),
        ("get", "/v1/devices"),
        ("get", f"/v1/devices/dev_{NOBODY}"),
        ("post", f"/v1/devices/dev_{NOBODY}/revoke"),
    ],
)
def test_whoever_has_no_role_gets_nothing(
    http_a: APIClient, org_a: OrganizationContext, method: str, path: str
) -> None:
    assert getattr(http_a, method)(path, {}).status_code == 401
    http_a.credentials(HTTP_AUTHORIZATION=f"Bearer {access_factory.member_token(org_a, None)}")
    assert getattr(http_a, method)(path, {}).status_code == 403


def test_who_may_only_read_revokes_nothing(http_a: APIClient, org_a: OrganizationContext) -> None:
    device = factory.enrolled(org_a).public_id
    http_a.credentials(HTTP_AUTHORIZATION=f"Bearer {access_factory.member_token(org_a, 'auditor')}")
    assert http_a.get(f"/v1/devices/{device}").json()["status"] == "active"
    assert http_a.post(f"/v1/devices/{device}/revoke").status_code == 403
    assert http_a.get(f"/v1/devices/{device}").json()["status"] == "active"


def test_whoever_has_a_role_at_one_site_sees_the_devices_there(http_a: APIClient, org_a: OrganizationContext) -> None:
    here, elsewhere = factory.enrolled(org_a), factory.enrolled(org_a)
    member = access_factory.member(org_a, None)
    with organization(org_a):
        access.grant_role(principal=member.principal, role="operator", scope="site", site_id=here.site_id)
    http_a.credentials(HTTP_AUTHORIZATION=f"Bearer {member.token}")
    assert [one["id"] for one in http_a.get("/v1/devices").json()["data"]] == [here.public_id]
    assert http_a.get(f"/v1/devices/{here.public_id}").status_code == 200
    assert http_a.get(f"/v1/devices/{elsewhere.public_id}").status_code == 404
    assert http_a.post(f"/v1/devices/{elsewhere.public_id}/revoke").status_code in (403, 404)
    code = {"site": ids.encode("site", elsewhere.site_id), "name": "Till"}
    assert http_a.post("/v1/enrolment-codes", code).status_code in (400, 403)
