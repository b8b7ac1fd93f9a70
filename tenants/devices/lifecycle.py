"""Revoking devices and replacing their keys."""

from __future__ import annotations

from uuid import UUID

from django.db import IntegrityError, transaction

from engine.clock import Clock, utc_now
from engine.errors import Conflict, InvalidInput, NotFound
from engine.principals import Principal
from engine.tenancy.context import current_organization
from tenants.audit import services as audit
from tenants.devices import selectors
from tenants.devices.adapters import hints
from tenants.devices.enrolment import KeyTaken
from tenants.devices.events import DeviceRevoked
from tenants.devices.models import CredentialStatus, Device, DeviceCredential, DeviceStatus
from tenants.devices.rules import proofs
from tenants.events import services as events


class DeviceIsRevoked(Conflict):
    """A revoked device stays revoked."""

    code = "device_revoked"
    title = "The device is revoked"


def revoke(*, device_id: UUID, by: Principal, clock: Clock = utc_now) -> Device:
    """Shut a device out, for good; its socket closes within 5 s. Doing it twice changes nothing.

    Raises NotFound.
    """
    with transaction.atomic():
        device = _locked(device_id)
        if device.status == DeviceStatus.REVOKED:
            return device
        device.status = DeviceStatus.REVOKED
        device.revoked_at = clock()
        device.save(update_fields=["status", "revoked_at"])
        device.credentials.filter(status=CredentialStatus.ACTIVE).update(status=CredentialStatus.REVOKED)
        audit.write(action="device.revoked", actor=by, resource=device.public_id)
        events.record(event=DeviceRevoked(device=device.public_id))
        hints.after_commit("revoked", device_id=device.id)
    return device


def replace_credential(
    *, device: Principal, key: proofs.PublicKey, proof: str, clock: Clock = utc_now
) -> DeviceCredential:
    """Give a device another key, which `proof` shows that it holds. Sessions of the old one end.

    Raises InvalidInput (proof), KeyTaken, DeviceIsRevoked.
    """
    now = clock()
    audience = selectors.gateway_url(organization=current_organization())
    try:
        claims = proofs.claims(
            proof,
            key=key,
            typ=proofs.ROTATION,
            audience=audience,
            now=now,
            names=frozenset({"sub"}),
        )
    except proofs.InvalidProofError as error:
        raise InvalidInput(f"The proof does not hold: {error.reason}.", field="proof") from error
    if claims["sub"] != device.public_id:
        raise InvalidInput("The proof is for another device.", field="proof")
    with transaction.atomic():
        row = _locked(device.id)
        if row.status == DeviceStatus.REVOKED:
            raise DeviceIsRevoked
        old = row.credentials.select_for_update().get(status=CredentialStatus.ACTIVE)
        if old.thumbprint == key.thumbprint:
            return old
        new = _replaced(old, key=key, clock=clock)
        audit.write(
            action="device.credential_replaced",
            actor=device,
            resource=row.public_id,
            detail={"old": old.public_id, "new": new.public_id},
        )
        hints.after_commit("revoked", device_id=row.id)
    return new


def _replaced(old: DeviceCredential, *, key: proofs.PublicKey, clock: Clock) -> DeviceCredential:
    # One active key per device and one successor per key, both held by constraints: the successor is
    # written inactive, the old one hands over, and then the successor takes up its office.
    try:
        with transaction.atomic():
            new = DeviceCredential.objects.create(
                device_id=old.device_id,
                public_key=key.raw,
                thumbprint=key.thumbprint,
                status=CredentialStatus.REVOKED,
                created_at=clock(),
            )
    except IntegrityError as error:
        if "devices_credential_key" not in str(error):
            raise
        raise KeyTaken("Make a new key.", field="public_key") from error
    old.status, old.replaced_by = CredentialStatus.REPLACED, new
    old.save(update_fields=["status", "replaced_by"])
    new.status = CredentialStatus.ACTIVE
    new.save(update_fields=["status"])
    return new


def _locked(device_id: UUID) -> Device:
    found = Device.objects.select_for_update(of=("self",)).select_related("site").filter(id=device_id).first()
    if found is None:
        raise NotFound
    return found
