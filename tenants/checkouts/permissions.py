from __future__ import annotations

from engine.permissions import DEVICES, Permission, declare

declare(
    Permission(
        "checkouts.read",
        "See what devices asked to charge and what came of it.",
        since=1,
        roles=frozenset({"admin", "operator", "analyst"}),
    ),
    Permission(
        "checkout.create",
        "Take a payment from a recognised person, as a device.",
        since=1,
        roles=frozenset({"terminal"}),
        kinds=DEVICES,
        handed_out_with="devices.write",
        is_measured=True,
    ),
)
