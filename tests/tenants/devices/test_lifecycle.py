"""Quarantine, reset, enrolling again, transfer: over HTTP, and the states in every order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from engine import ids
from engine.principals import SYSTEM
from engine.tenancy.context import OrganizationContext, organization
from tenants.access import selectors as grants
from tenants.access import services as access
from tenants.audit.models import Entry
from tenants.devices import selectors, services
from tenants.devices.models import Device, DeviceCommand, EnrolmentCode
from tenants.devices.rules import codes, proofs
from tenants.devices.rules.states import DeviceStatus, IllegalStepError, check_step
from tests.conftest import client_of
from tests.factories import access as access_factory
from tests.factories import devices as factory
from tests.factories.checkouts import Terminal, face, seen
from tests.factories.device_keys import DeviceKey


@pytest.fixture
def owner(http_a: APIClient, org_a: OrganizationContext) -> APIClient:
    return access_factory.signed_in(http_a, access_factory.member_token(org_a))


@pytest.fixture
def device(org_a: OrganizationContext) -> factory.Enrolled:
    return factory.enrolled(org_a)


def claim(org: OrganizationContext, code: str, key: DeviceKey) -> Any:
    proof = key.proof(typ=proofs.CLAIM, audience=f"{org.issuer}/v1/devices/claim", code=code)
    body = {"code": code, "public_key": key.jwk, "proof": proof}
    return client_of(org).post("/v1/devices/claim", body)


def member_at(org: OrganizationContext, role: str, *sites: Any) -> APIClient:
    """A member with a role over some sites only."""
    member = access_factory.member(org, None)
    with organization(org):
        for site_id in sites:
            access.grant_role(principal=member.principal, role=role, scope="site", site_id=site_id)
    return access_factory.signed_in(client_of(org), member.token)


def told(org: OrganizationContext, resource: str) -> list[str]:
    with organization(org):
        return list(Entry.objects.filter(resource=resource).order_by("id").values_list("action", flat=True))


# --- Reset, and the way back --------------------------------------------------------------------------


def test_a_reset_device_comes_back_as_the_same_device_with_another_key(
    owner: APIClient, org_a: OrganizationContext, device: factory.Enrolled
) -> None:
    path = f"/v1/devices/{device.public_id}"
    early = owner.post(f"{path}/enrolment-codes", {})
    assert (early.status_code, early.json()["code"]) == (409, "device_not_reset")
    for _ in range(2):
        assert owner.post(f"{path}/factory-reset").json()["status"] == "reset"

    made = owner.post(f"{path}/enrolment-codes", {}).json()
    assert (made["name"], made["role"], made["site"]) == ("Till 1", "", ids.encode("site", device.site_id))
    assert claim(org_a, made["code"], device.key).json()["code"] == "key_taken"
    key = DeviceKey()
    claimed = claim(org_a, made["code"], key)
    assert (claimed.status_code, claimed.json()["device"]) == (201, device.public_id)
    assert claim(org_a, made["code"], key).json() == claimed.json()
    assert claim(org_a, made["code"], DeviceKey()).json()["code"] == "code_not_accepted"

    assert owner.get(path).json()["status"] == "active"
    listed = owner.get(f"{path}/credentials").json()["data"]
    assert [one["status"] for one in listed] == ["active", "revoked"]
    assert listed[0]["thumbprint"] == key.public.thumbprint
    with organization(org_a):
        found = selectors.device(device_id=device.id)
        assert access.check(principal=found.principal, permission="checkout.create", resource=found).allowed
    assert told(org_a, device.public_id) == ["device.enrolled", "device.reset", "device.re_enrolled"]


def test_a_code_does_not_outlive_the_state_that_it_was_made_for(
    owner: APIClient, org_a: OrganizationContext, device: factory.Enrolled
) -> None:
    path = f"/v1/devices/{device.public_id}"
    owner.post(f"{path}/factory-reset")
    first, second = (owner.post(f"{path}/enrolment-codes", {}).json()["code"] for _ in range(2))
    assert claim(org_a, first, DeviceKey()).status_code == 201
    assert claim(org_a, second, DeviceKey()).json()["code"] == "code_not_accepted"
    owner.post(f"{path}/factory-reset")
    # Made for the reset before, and for no later one.
    assert claim(org_a, second, DeviceKey()).json()["code"] == "code_not_accepted"
    third = owner.post(f"{path}/enrolment-codes", {}).json()["code"]
    owner.post(f"{path}/revoke")
    assert claim(org_a, third, DeviceKey()).json()["code"] == "code_not_accepted"


def test_a_code_for_a_device_is_worth_what_its_maker_holds_when_it_is_claimed(
    owner: APIClient, org_a: OrganizationContext, device: factory.Enrolled
) -> None:
    admin = access_factory.member(org_a, None)
    with organization(org_a):
        access.grant_role(principal=admin.principal, role="admin", scope="site", site_id=device.site_id)
        found = selectors.device(device_id=device.id)
    path = f"/v1/devices/{device.public_id}"
    owner.post(f"{path}/factory-reset")
    client = access_factory.signed_in(client_of(org_a), admin.token)
    code = client.post(f"{path}/enrolment-codes", {}).json()["code"]
    with organization(org_a):
        # More than the maker holds: over everything, and not over the site alone.
        stronger = access.grant_role(principal=found.principal, role="terminal", by=SYSTEM)
    assert claim(org_a, code, DeviceKey()).json()["code"] == "code_not_accepted"
    with organization(org_a):
        access.revoke_grant(grant_id=stronger.id, by=SYSTEM)
    assert claim(org_a, code, DeviceKey()).status_code == 201


def test_with_an_admins_roles_go_the_admins_codes(owner: APIClient, org_a: OrganizationContext) -> None:
    site = factory.site_id(org_a)
    admin = access_factory.member(org_a, None)
    with organization(org_a):
        grant = access.grant_role(principal=admin.principal, role="admin", scope="site", site_id=site)
    client = access_factory.signed_in(client_of(org_a), admin.token)
    made = client.post("/v1/enrolment-codes", {"site": ids.encode("site", site), "name": "Till"}).json()
    with organization(org_a):
        access.revoke_grant(grant_id=grant.id, by=SYSTEM)
    assert claim(org_a, made["code"], DeviceKey()).json()["code"] == "code_not_accepted"
    with organization(org_a):
        assert not Device.objects.exists()


def test_a_code_gives_what_its_maker_could_give_and_to_devices_only(
    owner: APIClient, org_a: OrganizationContext
) -> None:
    site = ids.encode("site", factory.site_id(org_a))
    with organization(org_a):
        access.create_role(name="gate", meaning="", permissions=["checkout.create"], by=SYSTEM)
    made = owner.post("/v1/enrolment-codes", {"site": site, "name": "Gate", "role": "gate"})
    assert (made.status_code, made.json().get("role")) == (201, "gate")
    for role in ("admin", "nobody", "", "x" * 500):
        refused = owner.post("/v1/enrolment-codes", {"site": site, "name": "Gate", "role": role})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "role")


# --- Guessing -----------------------------------------------------------------------------------------


def test_a_code_that_is_guessed_at_is_void_and_told_of(owner: APIClient, org_a: OrganizationContext) -> None:
    body = {"site": ids.encode("site", factory.site_id(org_a)), "name": "Till"}
    made = owner.post("/v1/enrolment-codes", body).json()
    right = codes.normalized(made["code"])
    wrong = right[:-1] + ("A" if right[-1] != "A" else "B")
    for _ in range(codes.ATTEMPTS_MAX + 1):
        assert claim(org_a, wrong, DeviceKey()).json()["code"] == "code_not_accepted"
    assert claim(org_a, right, DeviceKey()).json()["code"] == "code_not_accepted"
    assert told(org_a, made["id"]) == ["enrolment_code.created", "enrolment_code.voided"]


def test_guesses_are_counted_where_nothing_is_lost(owner: APIClient, org_a: OrganizationContext) -> None:
    """In PostgreSQL and by address; what was right is no guess."""
    body = {"site": ids.encode("site", factory.site_id(org_a)), "name": "Till"}
    for _ in range(3):
        assert claim(org_a, owner.post("/v1/enrolment-codes", body).json()["code"], DeviceKey()).status_code == 201
    answers = [claim(org_a, "0000-0000-0000", DeviceKey()).status_code for _ in range(31)]
    assert answers == [400] * 30 + [429]
    good = owner.post("/v1/enrolment-codes", body).json()["code"]
    refused = claim(org_a, good, DeviceKey())
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
    assert int(refused["Retry-After"]) > 0


# --- Quarantine ---------------------------------------------------------------------------------------


def test_an_operator_quarantines_and_an_admin_releases(
    org_a: OrganizationContext, owner: APIClient, device: factory.Enrolled
) -> None:
    path = f"/v1/devices/{device.public_id}"
    operator = access_factory.signed_in(client_of(org_a), access_factory.member_token(org_a, "operator"))
    for _ in range(2):
        answer = operator.post(f"{path}/quarantine", {"reason": "The seal is broken"})
        assert (answer.json()["status"], answer.json()["quarantine_reason"]) == ("quarantined", "The seal is broken")
    assert operator.post(f"{path}/release").status_code == 403
    for _ in range(2):
        assert owner.post(f"{path}/release").json()["status"] == "active"
    with organization(org_a):
        queued = DeviceCommand.objects.filter(device_id=device.id).order_by("id").values_list("name", flat=True)
        assert list(queued) == ["device.quarantined", "device.released"]
    assert told(org_a, device.public_id)[1:] == ["device.quarantined", "device.released"]


def test_a_quarantined_device_counts_towards_the_plan(in_org_a: OrganizationContext) -> None:
    one, two = factory.enrolled(in_org_a), factory.enrolled(in_org_a)
    services.quarantine(device_id=one.id, by=SYSTEM)
    services.factory_reset(device_id=two.id, by=SYSTEM)
    assert Device.objects.counted().count() == 2


# --- Transfer -----------------------------------------------------------------------------------------


def test_a_device_goes_to_another_site_with_what_it_held(
    owner: APIClient, org_a: OrganizationContext, device: factory.Enrolled
) -> None:
    to = factory.site_id(org_a)
    answer = owner.post(f"/v1/devices/{device.public_id}/transfer", {"site": ids.encode("site", to)})
    assert (answer.status_code, answer.json()["site"]) == (200, ids.encode("site", to))
    again = owner.post(f"/v1/devices/{device.public_id}/transfer", {"site": ids.encode("site", to)})
    assert again.json()["site"] == answer.json()["site"]
    with organization(org_a):
        held = grants.grants().filter(principal_id=device.id)
        assert [(one.role, one.site_id) for one in held] == [("terminal", to)]
        found = selectors.device(device_id=device.id)
        assert access.check(principal=found.principal, permission="checkout.create", resource=found).allowed
        (command,) = DeviceCommand.objects.filter(device_id=device.id)
        assert (command.name, command.body["site"]) == ("device.transferred", ids.encode("site", to))
    assert told(org_a, device.public_id) == ["device.enrolled", "device.transferred"]


def test_a_transfer_needs_its_permission_at_both_ends(org_a: OrganizationContext, device: factory.Enrolled) -> None:
    here, there = device.site_id, factory.site_id(org_a)
    body = {"site": ids.encode("site", there)}
    path = f"/v1/devices/{device.public_id}/transfer"
    only_here = member_at(org_a, "admin", here).post(path, body)
    assert (only_here.status_code, only_here.json()["errors"][0]["field"]) == (400, "site")
    assert member_at(org_a, "admin", there).post(path, body).status_code == 404
    assert member_at(org_a, "operator", here, there).post(path, body).status_code == 403
    assert member_at(org_a, "admin", here, there).post(path, body).status_code == 200


def test_a_device_goes_to_no_site_of_another_organization(
    owner: APIClient, org_b: OrganizationContext, device: factory.Enrolled
) -> None:
    foreign = ids.encode("site", factory.site_id(org_b))
    answer = owner.post(f"/v1/devices/{device.public_id}/transfer", {"site": foreign})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "site")


# --- Every order ----------------------------------------------------------------------------------------

_ACTS: dict[str, Any] = {
    "quarantine": services.quarantine,
    "release": services.release,
    "factory_reset": services.factory_reset,
    "revoke": services.revoke,
}
_TARGET = {"quarantine": "quarantined", "release": "active", "factory_reset": "reset", "revoke": "revoked"}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(sorted(_ACTS)), max_size=8))
def test_whatever_the_order_a_revoked_device_stays_so_and_a_reset_one_has_no_key(
    in_org_a: OrganizationContext, acts: list[str]
) -> None:
    device = factory.enrolled(in_org_a)
    for act in acts:
        before = Device.objects.get(id=device.id).status
        try:
            _ACTS[act](device_id=device.id, by=SYSTEM)
        except (services.DeviceIsRevoked, services.WrongDeviceStatus):
            assert Device.objects.get(id=device.id).status == before
            assert before in {"revoked", "reset"}
            continue
        after = Device.objects.get(id=device.id)
        assert after.status == _TARGET[act]
        assert before != "revoked" or act == "revoke"
        has_key = after.credentials.filter(status="active").exists()
        assert has_key == (after.status in {"active", "quarantined"})


def test_nothing_leads_away_from_revoked() -> None:
    for status in DeviceStatus:
        with pytest.raises(IllegalStepError):
            check_step("revoked", status)


@pytest.mark.parametrize("act", ["factory-reset", "quarantine", "release", "transfer", "rotate-key"])
def test_a_revoked_device_is_done_with(
    act: str, owner: APIClient, org_a: OrganizationContext, device: factory.Enrolled
) -> None:
    owner.post(f"/v1/devices/{device.public_id}/revoke")
    body = {"site": ids.encode("site", factory.site_id(org_a))} if act == "transfer" else {}
    answer = owner.post(f"/v1/devices/{device.public_id}/{act}", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "device_revoked")


@pytest.mark.parametrize("act", ["factory-reset", "quarantine", "release", "transfer", "rotate-key", "enrolment-codes"])
def test_whoever_may_only_read_changes_nothing(act: str, org_a: OrganizationContext, device: factory.Enrolled) -> None:
    auditor = access_factory.signed_in(client_of(org_a), access_factory.member_token(org_a, "auditor"))
    assert auditor.post(f"/v1/devices/{device.public_id}/{act}", {}).status_code == 403
    assert auditor.get(f"/v1/devices/{device.public_id}").json()["status"] == "active"
    assert auditor.get(f"/v1/devices/{device.public_id}/credentials").status_code == 200


def test_a_list_of_keys_costs_the_same_however_many(
    owner: APIClient, org_a: OrganizationContext, device: factory.Enrolled, django_assert_max_num_queries: Any
) -> None:
    path = f"/v1/devices/{device.public_id}"
    for _ in range(3):
        owner.post(f"{path}/factory-reset")
        assert claim(org_a, owner.post(f"{path}/enrolment-codes", {}).json()["code"], DeviceKey()).status_code == 201
    with django_assert_max_num_queries(9):
        assert len(owner.get(f"{path}/credentials").json()["data"]) == 4


def test_a_code_for_a_device_keeps_the_constraint(in_org_a: OrganizationContext) -> None:
    device = factory.enrolled(in_org_a)
    services.factory_reset(device_id=device.id, by=SYSTEM)
    row, _ = services.create_code_again(device_id=device.id, by=SYSTEM)
    assert (row.claimed_device_id, row.re_enrols_id) == (None, device.id)
    assert EnrolmentCode.objects.get(id=row.id).device_id is None


def test_a_quarantined_device_takes_no_checkout_even_past_the_gateways_own_look(
    in_org_a: OrganizationContext,
) -> None:
    device = factory.enrolled(in_org_a)
    services.quarantine(device_id=device.id, by=SYSTEM)
    terminal = Terminal(device, model="m1")
    answer = terminal.send(terminal.frame(seen(face())))
    assert (answer.status, answer.reason) == ("declined", "device_not_active")
