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
