"""A device goes to another site."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from engine.clock import Clock, utc_now
from engine.principals import Principal
from tenants.access import services as access
from tenants.audit import services as audit
from tenants.devices import commands
from tenants.devices.enrolment import check_site
from tenants.devices.events import DeviceTransferred
from tenants.devices.lifecycle import DeviceIsRevoked, locked
from tenants.devices.models import Device
from tenants.devices.rules.states import DeviceStatus
from tenants.events import services as events


def transfer(*, device_id: UUID, site_id: UUID, by: Principal, clock: Clock = utc_now) -> Device:
    """Let a device stand at another site, and hold there what it held over the one that it leaves.

    The caller has asked whether `by` may change it where it stands; whether it may be put where it goes is asked
    here. What it took so far stays with the site where it was taken. Raises NotFound, InvalidInput (site),
    DeviceIsRevoked, CannotGrantMore.
    """
    to = check_site(site_id, by=by)
    with transaction.atomic():
        device = locked(device_id)
        if device.status == DeviceStatus.REVOKED:
            raise DeviceIsRevoked
        left = device.site
        if left.id == to.id:
            return device
        access.follow_move(principal=device.principal, from_site_id=left.id, to_site_id=to.id, by=by, clock=clock)
        device.site = to
        device.save(update_fields=["site"])
        audit.write(
            action="device.transferred",
            actor=by,
            resource=device.public_id,
            detail={"from": left.public_id, "to": to.public_id},
        )
        events.record(event=DeviceTransferred(device=device.public_id, from_site=left.public_id, to_site=to.public_id))
        body = {"site": to.public_id, "site_name": to.name}
        commands.enqueue(device_id=device.id, name="device.transferred", body=body, clock=clock)
    return device
