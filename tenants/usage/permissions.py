from __future__ import annotations

from engine.permissions import Permission, declare

declare(
    Permission("usage.read", "See what the organization used.", since=1, roles=frozenset({"admin", "analyst"})),
)
