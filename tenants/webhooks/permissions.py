from __future__ import annotations

from engine.permissions import Permission, declare

declare(
    Permission("webhooks.read", "See webhook endpoints and deliveries.", since=1, roles=frozenset({"admin"})),
    Permission(
        "webhooks.write",
        "Make, change and remove webhook endpoints; replay deliveries.",
        since=1,
        roles=frozenset({"admin"}),
    ),
)
