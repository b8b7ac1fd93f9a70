from __future__ import annotations

from engine.permissions import Permission, declare

declare(
    Permission(
        "devices.read",
        "See devices, their presence and where they stand.",
        since=1,
        roles=frozenset({"admin", "operator", "analyst"}),
    ),
    Permission("devices.write", "Enrol, change and revoke devices.", since=1, roles=frozenset({"admin"})),
    Permission(
        "devices.quarantine",
        "Put a device into quarantine; letting it out again is a change.",
        since=2,
        roles=frozenset({"admin", "operator"}),
    ),
)
