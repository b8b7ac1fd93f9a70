from __future__ import annotations

from engine.permissions import Permission, declare

declare(
    Permission(
        "events.read", "Read the organization's events.", since=1, roles=frozenset({"admin", "operator", "analyst"})
    ),
)
