from __future__ import annotations

from engine.permissions import Permission, declare

declare(
    Permission("audit.read", "Read the audit log.", since=1, roles=frozenset({"admin"})),
    Permission("audit.write", "Say how long the audit log is kept.", since=2, roles=frozenset()),
)
