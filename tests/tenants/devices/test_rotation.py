"""Another key for a device: proven by both, taken up by the first session of the new one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from engine import ids
from engine.clock import utc_now
from engine.errors import InvalidInput
from engine.principals import SYSTEM
from engine.tenancy.context import OrganizationContext
from tenants.audit.models import Entry
from tenants.devices import services
from tenants.devices.models import DeviceCredential
from tenants.devices.rotation import OVERLAP
from tests.factories import devices as factory
from tests.factories.device_keys import DeviceKey


def propose(device: factory.Enrolled, key: DeviceKey, *, at: datetime | None = None, **changes: Any) -> Any:
    now = at or utc_now()
    proof, endorsement = device.rotation(key, **{"iat": int(now.timestamp()), **changes})
    return services.propose_key(
        device=device.principal,
        credential_id=device.credential_id,
        key=key.public,
        proof=proof,
        endorsement=endorsement,
        clock=lambda: now,
    )


def connect(device: factory.Enrolled, *, key: DeviceKey, credential: Any, at: datetime | None = None) -> Any:
    now, nonce = at or utc_now(), str(ids.uuid7())
    names = {"sub": device.public_id, "credential": credential.public_id, "nonce": nonce, "iat": int(now.timestamp())}
    token = key.proof(typ="keystead-gateway+jwt", audience=device.gateway_url, **names)
    return services.open_session(token=token, nonce=nonce, audience=device.gateway_url, clock=lambda: now)


def statuses(device: factory.Enrolled) -> dict[str, str]:
    rows = DeviceCredential.objects.filter(device_id=device.id)
    return {one.public_id: one.status for one in rows}


def test_both_keys_open_sessions_until_the_new_one_has(in_org_a: OrganizationContext) -> None:
    device, key = factory.enrolled(in_org_a), DeviceKey()
    old = DeviceCredential.objects.get(id=device.credential_id)
    new = propose(device, key)
    assert statuses(device) == {old.public_id: "active", new.public_id: "pending"}
    connect(device, key=device.key, credential=old)
    connect(device, key=key, credential=new)
    assert statuses(device) == {old.public_id: "replaced", new.public_id: "active"}
    assert DeviceCredential.objects.get(id=old.id).replaced_by_id == new.id
    with pytest.raises(services.NotProvenError, match="credential_replaced"):
        connect(device, key=device.key, credential=old)
    connect(device, key=key, credential=new)
    told = Entry.objects.filter(resource=device.public_id).order_by("id").values_list("action", flat=True)
    assert list(told) == ["device.enrolled", "device.key_proposed", "device.key_replaced"]


def test_a_lost_answer_is_given_again_and_another_proposal_takes_its_place(in_org_a: OrganizationContext) -> None:
    device, key, other = factory.enrolled(in_org_a), DeviceKey(), DeviceKey()
    first = propose(device, key)
    assert propose(device, key).id == first.id
    second = propose(device, other)
    assert statuses(device)[first.public_id] == "revoked"
    with pytest.raises(services.NotProvenError, match="credential_revoked"):
        connect(device, key=key, credential=first)
    # A key that was let go stays away, also as a proposal.
    with pytest.raises(services.KeyTaken):
        propose(device, key)
    connect(device, key=other, credential=second)


def test_a_key_that_is_not_taken_up_lapses_and_can_be_proposed_again(in_org_a: OrganizationContext) -> None:
    device, key = factory.enrolled(in_org_a), DeviceKey()
    new = propose(device, key)
    late = utc_now() + OVERLAP + timedelta(seconds=1)
    with pytest.raises(services.NotProvenError, match="credential_expired"):
        connect(device, key=key, credential=new, at=late)
    assert propose(device, key, at=late).id == new.id
    connect(device, key=key, credential=new, at=late)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sub": "dev_1"}, "proof"),
        ({"credential": "cred_1"}, "proof"),
        ({"audience": "ws://x/v1/gateway"}, "proof"),
        ({"iat": 1}, "proof"),
        ({"nonce": "more"}, "proof"),
    ],
)
def test_what_both_keys_do_not_prove_changes_nothing(
    in_org_a: OrganizationContext, changes: dict[str, Any], field: str
) -> None:
    device = factory.enrolled(in_org_a)
    with pytest.raises(InvalidInput) as caught:
        propose(device, DeviceKey(), **changes)
    assert caught.value.field == field
    assert len(statuses(device)) == 1


def test_the_present_key_endorses_one_key_and_no_other(in_org_a: OrganizationContext) -> None:
    device, key, thief = factory.enrolled(in_org_a), DeviceKey(), DeviceKey()
    own, good = device.rotation(key)
    theirs, _ = device.rotation(thief)

    def attempt(*, key: DeviceKey, proof: str, endorsement: str) -> str:
        with pytest.raises(InvalidInput) as caught:
            services.propose_key(
                device=device.principal,
                credential_id=device.credential_id,
                key=key.public,
                proof=proof,
                endorsement=endorsement,
            )
        return str(caught.value.field)

    # Another's key under this endorsement; the new key endorsing itself; this key without owning it.
    assert attempt(key=thief, proof=theirs, endorsement=good) == "endorsement"
    assert attempt(key=key, proof=own, endorsement=own) == "endorsement"
    assert attempt(key=key, proof=theirs, endorsement=good) == "proof"
    assert len(statuses(device)) == 1


def test_whoever_may_not_work_changes_no_key(in_org_a: OrganizationContext) -> None:
    device, waiting = factory.enrolled(in_org_a), DeviceKey()
    new = propose(device, waiting)
    services.quarantine(device_id=device.id, by=SYSTEM)
    with pytest.raises(services.WrongDeviceStatus):
        propose(device, DeviceKey())
    services.revoke(device_id=device.id, by=SYSTEM)
    assert set(statuses(device).values()) == {"revoked"}
    with pytest.raises(services.NotProvenError, match="device_revoked"):
        connect(device, key=waiting, credential=new)
