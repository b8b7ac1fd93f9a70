"""Enrolling, connecting and revoking devices, and telling them things.

`enrolment`, `sessions` and `commands` say how.
"""

from __future__ import annotations

from tenants.devices.commands import acknowledge, enqueue, expire_pending, take_commands
from tenants.devices.enrolment import (
    Claimed,
    CodeNotAccepted,
    KeyTaken,
    TooManyAttempts,
    claim,
    create_code,
)
from tenants.devices.lifecycle import DeviceIsRevoked, replace_credential, revoke
from tenants.devices.sessions import (
    NotProvenError,
    OpenedSession,
    Recheck,
    close_session,
    note_seen,
    open_session,
    recheck,
)

__all__ = [
    "Claimed",
    "CodeNotAccepted",
    "DeviceIsRevoked",
    "KeyTaken",
    "NotProvenError",
    "OpenedSession",
    "Recheck",
    "TooManyAttempts",
    "acknowledge",
    "claim",
    "close_session",
    "create_code",
    "enqueue",
    "expire_pending",
    "note_seen",
    "open_session",
    "recheck",
    "replace_credential",
    "revoke",
    "take_commands",
]
