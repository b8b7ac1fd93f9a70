"""Quarantining, resetting and revoking devices: what ends or suspends them, and what brings them back."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from engine.clock import Clock, utc_now
from engine.errors import Conflict, NotFound
from engine.principals import Principal
from tenants.audit import services as audit
from tenants.devices import commands
from tenants.devices.adapters import hints
from tenants.devices.events import DeviceQuarantined, DeviceReleased, DeviceReset, DeviceRevoked
from tenants.devices.models import CredentialStatus, Device
from tenants.devices.rules.states import DeviceStatus, IllegalStepError, check_step
from tenants.events import services as events

_KEYS = (CredentialStatus.ACTIVE, CredentialStatus.PENDING)


class DeviceIsRevoked(Conflict):
    """A revoked device stays revoked."""

    code = "device_revoked"
    title = "The device is revoked"


class WrongDeviceStatus(Conflict):
    """The device cannot go there from where it stands; `status` says where that is."""

    code = "wrong_device_status"
    title = "The device is not in a state for this"


def revoke(*, device_id: UUID, by: Principal, clock: Clock = utc_now) -> Device:
    """Shut a device out, for good; its socket closes within 5 s. Doing it twice changes nothing.

    Raises NotFound.
    """
    with transaction.atomic():
        device = locked(device_id)
        if device.status == DeviceStatus.REVOKED:
            return device
        device.revoked_at = clock()
        _step(device, DeviceStatus.REVOKED, "revoked_at")
        _end_keys(device)
        audit.write(action="device.revoked", actor=by, resource=device.public_id)
        events.record(event=DeviceRevoked(device=device.public_id))
    return device


def factory_reset(*, device_id: UUID, by: Principal) -> Device:
    """End a device's key, as when its memory was wiped; it keeps its name, site, roles and history.

    Its socket closes within 5 s. A code made for it (`create_code_again`) gives it another key. Doing it twice
    changes nothing. Raises NotFound, DeviceIsRevoked.
    """
    with transaction.atomic():
        device = locked(device_id)
        if device.status == DeviceStatus.RESET:
            return device
        _step(device, DeviceStatus.RESET)
        _end_keys(device)
        audit.write(action="device.reset", actor=by, resource=device.public_id)
        events.record(event=DeviceReset(device=device.public_id))
    return device


def quarantine(*, device_id: UUID, by: Principal, reason: str = "", clock: Clock = utc_now) -> Device:
    """Let a device connect and do no work, until it is released. Doing it twice changes nothing.

    Raises NotFound, DeviceIsRevoked, WrongDeviceStatus.
    """
    with transaction.atomic():
        device = locked(device_id)
        if device.status == DeviceStatus.QUARANTINED:
            return device
        device.quarantined_at, device.quarantine_reason = clock(), reason
        _step(device, DeviceStatus.QUARANTINED, "quarantined_at", "quarantine_reason")
        audit.write(action="device.quarantined", actor=by, resource=device.public_id, detail={"reason": reason})
        events.record(event=DeviceQuarantined(device=device.public_id))
        commands.enqueue(device_id=device.id, name="device.quarantined", body={}, clock=clock)
    return device


def release(*, device_id: UUID, by: Principal, clock: Clock = utc_now) -> Device:
    """Let a quarantined device work again. One that works already stays as it is.

    Raises NotFound, DeviceIsRevoked, WrongDeviceStatus.
    """
    with transaction.atomic():
        device = locked(device_id)
        if device.status == DeviceStatus.ACTIVE:
            return device
        if device.status == DeviceStatus.RESET:
            raise WrongDeviceStatus("It has no key: enrol it again.", device_status=device.status)
        _step(device, DeviceStatus.ACTIVE)
        audit.write(action="device.released", actor=by, resource=device.public_id)
        events.record(event=DeviceReleased(device=device.public_id))
        commands.enqueue(device_id=device.id, name="device.released", body={}, clock=clock)
    return device


def locked(device_id: UUID) -> Device:
    """The device under lock, with its site. Raises NotFound."""
    found = Device.objects.select_for_update(of=("self",)).select_related("site").filter(id=device_id).first()
    if found is None:
        raise NotFound
    return found


def _step(device: Device, following: DeviceStatus, *also: str) -> None:
    try:
        check_step(device.status, following)
    except IllegalStepError as error:
        if device.status == DeviceStatus.REVOKED:
            raise DeviceIsRevoked from error
        raise WrongDeviceStatus(f"It is {device.status}.", device_status=device.status) from error
    device.status = following
    device.save(update_fields=["status", *also])


def _end_keys(device: Device) -> None:
    device.credentials.filter(status__in=_KEYS).update(status=CredentialStatus.REVOKED)
    hints.after_commit("revoked", device_id=device.id)
