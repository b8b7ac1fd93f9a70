"""Enrolling, connecting, moving and ending devices, and telling them things.

`enrolment`, `sessions`, `rotation`, `lifecycle`, `moving` and `commands` say how.
"""

from __future__ import annotations

from shared.accounts.attempts import TooManyAttempts
from tenants.devices.commands import acknowledge, enqueue, expire_pending, take_commands
from tenants.devices.enrolment import (
    Claimed,
    CodeNotAccepted,
    DeviceNotReset,
    KeyTaken,
    claim,
    create_code,
    create_code_again,
)
from tenants.devices.lifecycle import (
    DeviceIsRevoked,
    WrongDeviceStatus,
    factory_reset,
    quarantine,
    release,
    revoke,
)
from tenants.devices.moving import transfer
from tenants.devices.rotation import CredentialReplaced, ask_for_rotation, propose_key
from tenants.devices.sessions import (
    DeviceQuarantined,
    NotProvenError,
    OpenedSession,
    Recheck,
    SessionEndedError,
    close_session,
    note_seen,
    open_session,
    recheck,
    require_standing,
)

__all__ = [
    "Claimed",
    "CodeNotAccepted",
    "CredentialReplaced",
    "DeviceIsRevoked",
    "DeviceNotReset",
    "DeviceQuarantined",
    "KeyTaken",
    "NotProvenError",
    "OpenedSession",
    "Recheck",
    "SessionEndedError",
    "TooManyAttempts",
    "WrongDeviceStatus",
    "acknowledge",
    "ask_for_rotation",
    "claim",
    "close_session",
    "create_code",
    "create_code_again",
    "enqueue",
    "expire_pending",
    "factory_reset",
    "note_seen",
    "open_session",
    "propose_key",
    "quarantine",
    "recheck",
    "release",
    "require_standing",
    "revoke",
    "take_commands",
    "transfer",
]
