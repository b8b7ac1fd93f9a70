from __future__ import annotations

from engine.permissions import Permission, declare

declare(
    Permission("sites.read", "See the tree of sites.", since=1, roles=frozenset({"admin", "operator", "analyst"})),
    Permission("sites.write", "Make, rename and move sites.", since=1, roles=frozenset({"admin"})),
)
