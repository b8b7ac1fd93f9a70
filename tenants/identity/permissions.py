from __future__ import annotations

from engine.permissions import Permission, declare

declare(
    Permission(
        "people.read",
        "See people and their consents and templates, never the biometrics.",
        since=1,
        roles=frozenset({"admin", "operator"}),
    ),
    Permission("people.write", "Enrol, change and erase people.", since=1, roles=frozenset({"admin", "operator"})),
    Permission("consents.write", "Record and withdraw consents.", since=1, roles=frozenset({"admin", "operator"})),
    Permission(
        "templates.write", "Enrol and remove biometric templates.", since=1, roles=frozenset({"admin", "operator"})
    ),
    Permission(
        "verifications.create",
        "Compare a probe with one person (1:1).",
        since=1,
        roles=frozenset({"admin", "operator"}),
    ),
    Permission(
        "identifications.create",
        "Search a probe among all people (1:N).",
        since=1,
        roles=frozenset({"admin", "operator"}),
    ),
    Permission("settings.read", "See the organization's settings.", since=1, roles=frozenset({"admin"})),
    Permission(
        "settings.write",
        "Change the organization's settings, such as match thresholds.",
        since=1,
        roles=frozenset({"admin"}),
    ),
)
