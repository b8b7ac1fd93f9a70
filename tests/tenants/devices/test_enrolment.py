from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from engine import ids
from engine.clock import utc_now
from engine.errors import InvalidInput
from engine.principals import SYSTEM
from engine.tenancy.context import OrganizationContext, organization
from tenants.access import services as access
from tenants.devices import selectors, services
from tenants.devices.models import Device, DeviceCredential, EnrolmentCode
from tenants.devices.rules import codes, proofs
from tests.factories import devices as factory
from tests.factories.device_keys import DeviceKey


def claim(org: OrganizationContext, code: str, key: DeviceKey, **changes: Any) -> services.Claimed:
    audience = changes.pop("audience", selectors.claim_url(organization=org))
    typ = changes.pop("typ", proofs.CLAIM)
    proof = key.proof(typ=typ, audience=audience, code=changes.pop("proven", code), iat=changes.pop("iat", None))
    values = {"client_address": f"test-{ids.uuid7()}", **changes}
    return services.claim(code=code, public_key=key.jwk, proof=proof, **values)


def new_code(org: OrganizationContext, **values: Any) -> str:
    site = factory.site_id(org)
    return services.create_code(site_id=site, name="Till 1", by=SYSTEM, **values)[1]


def test_a_code_makes_one_device_that_may_charge_at_its_site(in_org_a: OrganizationContext) -> None:
    site = factory.site_id(in_org_a)
    elsewhere = factory.enrolled(in_org_a)
    _, code = services.create_code(site_id=site, name="Till 7", by=SYSTEM)
    key = DeviceKey()
    made = claim(in_org_a, code, key)

    device = selectors.device(device_id=made.device.id)
    assert (device.site_id, device.name, device.kind, device.status) == (site, "Till 7", "terminal", "active")
    assert made.gateway_url == f"ws://{in_org_a.issuer.removeprefix('http://')}/v1/gateway"
    assert made.credential.key == key.public
    allowed = access.check(principal=device.principal, permission="checkout.create", resource=device)
    other = selectors.device(device_id=elsewhere.id)
    assert allowed.allowed
    assert not access.check(principal=device.principal, permission="checkout.create", resource=other).allowed


def test_the_code_itself_is_not_kept(in_org_a: OrganizationContext) -> None:
    code = codes.normalized(new_code(in_org_a))
    row = EnrolmentCode.objects.get()
    stored = " ".join(str(getattr(row, field.attname)) for field in row._meta.fields)
    assert code not in stored
    assert code[codes.HANDLE_LENGTH :] not in stored


def test_a_lost_answer_is_given_again_to_the_same_key_only(in_org_a: OrganizationContext) -> None:
    code, key = new_code(in_org_a), DeviceKey()
    first = claim(in_org_a, code, key)
    again = claim(in_org_a, code.lower().replace("-", " "), key, proven=code)
    assert (again.device.id, again.credential.id) == (first.device.id, first.credential.id)
    with pytest.raises(services.CodeNotAccepted):
        claim(in_org_a, code, DeviceKey())
    assert Device.objects.count() == 1


def test_a_code_is_void_after_five_wrong_guesses(in_org_a: OrganizationContext) -> None:
    code = codes.normalized(new_code(in_org_a))
    wrong = code[:-1] + ("A" if code[-1] != "A" else "B")
    for _ in range(codes.ATTEMPTS_MAX):
        with pytest.raises(services.CodeNotAccepted):
            claim(in_org_a, wrong, DeviceKey())
    assert EnrolmentCode.objects.get().wrong_attempts == codes.ATTEMPTS_MAX
    with pytest.raises(services.CodeNotAccepted):
        claim(in_org_a, code, DeviceKey())
    assert not Device.objects.exists()


def test_four_wrong_guesses_do_no_harm(in_org_a: OrganizationContext) -> None:
    code = codes.normalized(new_code(in_org_a))
    wrong = code[:-1] + ("A" if code[-1] != "A" else "B")
    for _ in range(codes.ATTEMPTS_MAX - 1):
        with pytest.raises(services.CodeNotAccepted):
            claim(in_org_a, wrong, DeviceKey())
    assert claim(in_org_a, code, DeviceKey()).device.name == "Till 1"


def test_a_code_ends_with_its_time(in_org_a: OrganizationContext) -> None:
    code = new_code(in_org_a, expires_in=timedelta(minutes=1))
    later = utc_now() + timedelta(seconds=61)
    with pytest.raises(services.CodeNotAccepted):
        claim(in_org_a, code, DeviceKey(), clock=lambda: later, iat=int(later.timestamp()))


def test_a_code_of_another_organization_means_nothing(
    in_org_a: OrganizationContext, org_b: OrganizationContext
) -> None:
    code = new_code(in_org_a)
    with organization(org_b), pytest.raises(services.CodeNotAccepted):
        claim(org_b, code, DeviceKey())


def test_one_address_may_not_try_for_ever(in_org_a: OrganizationContext) -> None:
    address = f"test-{ids.uuid7()}"
    for _ in range(30):
        with pytest.raises(services.CodeNotAccepted):
            claim(in_org_a, "0000-0000-0000", DeviceKey(), client_address=address)
    with pytest.raises(services.TooManyAttempts):
        claim(in_org_a, new_code(in_org_a), DeviceKey(), client_address=address)
    assert claim(in_org_a, new_code(in_org_a), DeviceKey()).device.status == "active"


@pytest.mark.parametrize(
    "changes",
    [
        {"typ": proofs.GATEWAY},
        {"audience": "http://org-b.keystead.test/v1/devices/claim"},
        {"proven": "0000-0000-0000"},
        {"proven": "not a code"},
        {"iat": int(time.time()) - 120},
    ],
)
def test_a_proof_of_something_else_claims_nothing(in_org_a: OrganizationContext, changes: dict[str, Any]) -> None:
    code = new_code(in_org_a)
    with pytest.raises(InvalidInput) as caught:
        claim(in_org_a, code, DeviceKey(), **changes)
    assert caught.value.field == "proof"
    assert EnrolmentCode.objects.get().wrong_attempts == 0


def test_a_key_stands_for_one_device_even_after_it_was_revoked(in_org_a: OrganizationContext) -> None:
    key = DeviceKey()
    first = claim(in_org_a, new_code(in_org_a), key)
    services.revoke(device_id=first.device.id, by=SYSTEM)
    with pytest.raises(services.KeyTaken):
        claim(in_org_a, new_code(in_org_a), key)
    assert Device.objects.count() == 1


def test_a_code_needs_a_site_of_the_organization(in_org_a: OrganizationContext, org_b: OrganizationContext) -> None:
    foreign = factory.site_id(org_b)
    with pytest.raises(InvalidInput) as caught:
        services.create_code(site_id=foreign, name="Till", by=SYSTEM)
    assert caught.value.field == "site"


def test_a_revoked_device_stays_revoked(in_org_a: OrganizationContext) -> None:
    device = factory.enrolled(in_org_a)
    first = services.revoke(device_id=device.id, by=SYSTEM)
    again = services.revoke(device_id=device.id, by=SYSTEM)
    assert first.revoked_at == again.revoked_at
    assert DeviceCredential.objects.get(id=device.credential_id).status == "revoked"


def test_presence_is_written_in_one_statement_and_never_goes_back(
    in_org_a: OrganizationContext, django_assert_num_queries: Any
) -> None:
    first, second = factory.enrolled(in_org_a), factory.enrolled(in_org_a)
    now = utc_now()
    with django_assert_num_queries(1):
        services.note_seen(seen_at={first.id: now, second.id: now})
    services.note_seen(seen_at={first.id: now - timedelta(minutes=1)})
    assert set(Device.objects.values_list("last_seen_at", flat=True)) == {now}
