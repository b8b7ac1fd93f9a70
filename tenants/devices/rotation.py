"""Another key for a device: proposed under proofs of both, taken up by the first session of the new one.

Until then both open sessions, so a device that never got the answer, or lost power between two writes to its
memory, still has a key that is good. A key that is not taken up in time lapses.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from engine import ids
from engine.clock import Clock, utc_now
from engine.errors import Conflict, InvalidInput
from engine.principals import Principal
from engine.tenancy.context import current_organization
from tenants.audit import services as audit
from tenants.devices import commands, selectors
from tenants.devices.adapters import hints
from tenants.devices.enrolment import KeyTaken, add_credential
from tenants.devices.events import DeviceKeyReplaced
from tenants.devices.lifecycle import DeviceIsRevoked, WrongDeviceStatus, locked
from tenants.devices.models import CredentialStatus, Device, DeviceCredential
from tenants.devices.rules import proofs
from tenants.devices.rules.states import DeviceStatus
from tenants.events import services as events

OVERLAP = timedelta(hours=24)


class CredentialReplaced(Conflict):
    """Another credential has taken over meanwhile."""

    code = "credential_replaced"
    title = "The credential was replaced"


def propose_key(
    *,
    device: Principal,
    credential_id: UUID,
    key: proofs.PublicKey,
    proof: str,
    endorsement: str,
    clock: Clock = utc_now,
) -> DeviceCredential:
    """Note a key that the device wants to change to: `proof` is by it, `endorsement` by the present one.

    The same key again answers the same credential. Another one takes the place of a proposal that was not taken
    up. Raises InvalidInput (public_key, proof, endorsement), KeyTaken, CredentialReplaced, DeviceIsRevoked,
    WrongDeviceStatus.
    """
    now = clock()
    named = {"sub": device.public_id, "credential": ids.encode("cred", credential_id)}
    _check(proof, key=key, typ=proofs.ROTATION, expected=named, field="proof", now=now)
    with transaction.atomic():
        row = _working(device.id)
        present = row.credentials.get(status=CredentialStatus.ACTIVE)
        if present.id != credential_id:
            raise CredentialReplaced
        _check(
            endorsement,
            key=present.key,
            typ=proofs.ENDORSEMENT,
            expected={**named, "key": key.thumbprint},
            field="endorsement",
            now=now,
        )
        if key.thumbprint == present.thumbprint:
            raise KeyTaken("This is the present key: make a new one.", field="public_key")
        return _proposed(row, key=key, now=now, by=device)


def take_up(*, credential_id: UUID, device_id: UUID, clock: Clock = utc_now) -> bool:
    """Make a pending credential, which the caller has seen proven, the one; sessions of the other end.

    False when it is not pending any more, or too late. Call in a transaction.
    """
    row = locked(device_id)
    new = row.credentials.get(id=credential_id)
    if not new.can_open(at=clock()):
        return False
    if new.status == CredentialStatus.ACTIVE:
        return True
    # One active key per device, held by a constraint: first the one steps down, then the other takes office.
    present = row.credentials.get(status=CredentialStatus.ACTIVE)
    present.status, present.replaced_by = CredentialStatus.REPLACED, new
    present.save(update_fields=["status", "replaced_by"])
    new.status = CredentialStatus.ACTIVE
    new.save(update_fields=["status"])
    audit.write(
        action="device.key_replaced",
        actor=row.principal,
        resource=row.public_id,
        detail={"old": present.public_id, "new": new.public_id},
    )
    events.record(event=DeviceKeyReplaced(device=row.public_id))
    hints.after_commit("revoked", device_id=row.id)
    return True


def ask_for_rotation(*, device_id: UUID, by: Principal, clock: Clock = utc_now) -> Device:
    """Tell a device to change its key. Raises NotFound, DeviceIsRevoked, WrongDeviceStatus."""
    with transaction.atomic():
        row = _working(device_id)
        audit.write(action="device.key_rotation_asked", actor=by, resource=row.public_id)
        commands.enqueue(device_id=row.id, name="device.rotate_key", body={}, clock=clock)
    return row


def _working(device_id: UUID) -> Device:
    row = locked(device_id)
    if row.status == DeviceStatus.REVOKED:
        raise DeviceIsRevoked
    if row.status != DeviceStatus.ACTIVE:
        raise WrongDeviceStatus(f"It is {row.status}.", device_status=row.status)
    return row


def _proposed(row: Device, *, key: proofs.PublicKey, now: datetime, by: Principal) -> DeviceCredential:
    pending = row.credentials.filter(status=CredentialStatus.PENDING).first()
    if pending is not None and pending.thumbprint == key.thumbprint:
        if not pending.can_open(at=now):
            pending.expires_at = now + OVERLAP
            pending.save(update_fields=["expires_at"])
        return pending
    if pending is not None:
        pending.status = CredentialStatus.REVOKED
        pending.save(update_fields=["status"])
    new = add_credential(row, key=key, status=CredentialStatus.PENDING, at=now, expires_at=now + OVERLAP)
    detail = {"credential": new.public_id, "key": key.thumbprint}
    audit.write(action="device.key_proposed", actor=by, resource=row.public_id, detail=detail)
    return new


def _check(token: str, *, key: proofs.PublicKey, typ: str, expected: dict[str, str], field: str, now: datetime) -> None:
    audience = selectors.gateway_url(organization=current_organization())
    try:
        claims = proofs.claims(token, key=key, typ=typ, audience=audience, now=now, names=frozenset(expected))
    except proofs.InvalidProofError as error:
        raise InvalidInput(f"The proof does not hold: {error.reason}.", field=field) from error
    for name, value in expected.items():
        if claims[name] != value:
            raise InvalidInput(f"The proof is for another {name}.", field=field)
