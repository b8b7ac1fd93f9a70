"""What happens to devices, as other systems are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tenants.events.events import Event


@dataclass(frozen=True, kw_only=True)
class DeviceEnrolled(Event):
    """A code was claimed: a new device stands at a site."""

    type: ClassVar[str] = "device.enrolled"

    device: str
    site: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class DeviceRevoked(Event):
    """A device may not connect any more."""

    type: ClassVar[str] = "device.revoked"

    device: str


@dataclass(frozen=True, kw_only=True)
class DeviceQuarantined(Event):
    """A device may connect, and do no work."""

    type: ClassVar[str] = "device.quarantined"

    device: str


@dataclass(frozen=True, kw_only=True)
class DeviceReleased(Event):
    """A device that was quarantined works again."""

    type: ClassVar[str] = "device.released"

    device: str


@dataclass(frozen=True, kw_only=True)
class DeviceReset(Event):
    """A device has lost its key, and waits to be enrolled again."""

    type: ClassVar[str] = "device.reset"

    device: str


@dataclass(frozen=True, kw_only=True)
class DeviceReEnrolled(Event):
    """A device that was reset is back, with another key."""

    type: ClassVar[str] = "device.re_enrolled"

    device: str


@dataclass(frozen=True, kw_only=True)
class DeviceTransferred(Event):
    """A device stands at another site."""

    type: ClassVar[str] = "device.transferred"

    device: str
    from_site: str
    to_site: str


@dataclass(frozen=True, kw_only=True)
class DeviceKeyReplaced(Event):
    """A device has taken up another key."""

    type: ClassVar[str] = "device.key_replaced"

    device: str
