"""What a device has to be told: kept in PostgreSQL until it says that it was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from engine.clock import Clock, utc_now
from tenants.devices.adapters import hints
from tenants.devices.models import DeviceCommand

LIFETIME_DEFAULT = timedelta(days=1)


def enqueue(
    *,
    device_id: UUID,
    name: str,
    body: dict[str, Any],
    lifetime: timedelta = LIFETIME_DEFAULT,
    clock: Clock = utc_now,
) -> DeviceCommand:
    """Tell a device something, at least once, in the order of the calls, while it is worth telling.

    Belongs in the transaction of the act that it tells of: raises RuntimeError outside one.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a command commits with the act that it tells of")
    now = clock()
    command = DeviceCommand.objects.create(
        device_id=device_id, name=name, body=body, expires_at=now + lifetime, created_at=now
    )
    hints.after_commit("command", device_id=device_id)
    return command


def take_commands(
    *,
    device_id: UUID,
    except_ids: Sequence[UUID] = (),
    limit: int,
    clock: Clock = utc_now,
) -> list[DeviceCommand]:
    """The oldest commands that the device has not acknowledged, noted as delivered once more."""
    now = clock()
    with transaction.atomic():
        commands = list(
            DeviceCommand.objects.pending(at=now)
            .filter(device_id=device_id)
            .exclude(id__in=except_ids)
            .select_for_update(skip_locked=True)[:limit]
        )
        DeviceCommand.objects.filter(id__in=[one.id for one in commands]).update(
            delivered_at=now, deliveries=F("deliveries") + 1
        )
    return commands


def acknowledge(*, device_id: UUID, command_id: UUID, clock: Clock = utc_now) -> None:
    """Note that the device has taken a command. Unknown and already acknowledged ones are no error."""
    DeviceCommand.objects.filter(id=command_id, device_id=device_id, acknowledged_at=None).update(
        acknowledged_at=clock()
    )


def expire_pending(*, clock: Clock = utc_now) -> int:
    """After a restore: what a device had not acknowledged at the backup it may have done since, so it is not told
    again. Returns how many commands that are."""
    now = clock()
    return DeviceCommand.objects.pending(at=now).update(expires_at=now)
