"""The life of a device, as a pure function.

active       -> quarantined | reset | revoked
quarantined  -> active (released) | reset | revoked
reset        -> active (enrolled again) | revoked
revoked      the end
"""

from __future__ import annotations

from enum import StrEnum


class DeviceStatus(StrEnum):
    """Where a device stands."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"
    """It may connect and be looked after, and does no work."""
    RESET = "reset"
    """It has no key: it waits to be enrolled again, under the same name."""
    REVOKED = "revoked"
    """It never comes back: what stands there then is another device."""


class IllegalStepError(ValueError):
    """A device cannot go from the one status to the other."""


CONNECTING = frozenset({DeviceStatus.ACTIVE, DeviceStatus.QUARANTINED})
"""Those whose key opens a session."""
_NEXT: dict[DeviceStatus, frozenset[DeviceStatus]] = {
    DeviceStatus.ACTIVE: frozenset({DeviceStatus.QUARANTINED, DeviceStatus.RESET, DeviceStatus.REVOKED}),
    DeviceStatus.QUARANTINED: frozenset({DeviceStatus.ACTIVE, DeviceStatus.RESET, DeviceStatus.REVOKED}),
    DeviceStatus.RESET: frozenset({DeviceStatus.ACTIVE, DeviceStatus.REVOKED}),
    DeviceStatus.REVOKED: frozenset(),
}


def check_step(present: str, following: DeviceStatus) -> None:
    """Raises IllegalStepError unless a device may go from `present` to `following`."""
    if following not in _NEXT[DeviceStatus(present)]:
        raise IllegalStepError(f"a device does not go from {present} to {following}")
