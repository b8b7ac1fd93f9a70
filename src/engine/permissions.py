"""The catalogue of permissions: each app declares its own, in its `permissions.py`, when it starts.

    declare(
        Permission("sites.read", "See the tree of sites.", since=1, roles=frozenset({"admin", "operator"})),
    )

What nobody declared does not exist, and is refused. A published name never changes its meaning: what has
to change gets another name (docs/adr/0081-each-app-declares-its-permissions.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from engine.principals import PrincipalKind

PEOPLE_AND_APPS: frozenset[PrincipalKind] = frozenset({"member", "app"})
DEVICES: frozenset[PrincipalKind] = frozenset({"device"})


@dataclass(frozen=True, slots=True)
class Permission:
    """One thing that may be allowed."""

    name: str
    meaning: str
    since: int
    """The version of the catalogue that it came with."""
    roles: frozenset[str] = frozenset()
    """The built-in roles that have it, beside those that have it by rule: see tenants.access.permissions."""
    kinds: frozenset[PrincipalKind] = PEOPLE_AND_APPS
    """Which principals can use it at all."""
    handed_out_with: str = ""
    """The permission that lets one hand it out, where nobody who grants can hold it himself."""
    is_measured: bool = False
    """Whether its use has an amount of money, which the limits of a grant can bound."""

    @property
    def app(self) -> str:
        """What it is about: the part of its name before the dot."""
        return self.name.partition(".")[0]


class DeclaredTwice(ValueError):
    """Two apps declare a permission of the same name, and not the same one."""


_declared: dict[str, Permission] = {}
PERMISSIONS: Mapping[str, Permission] = MappingProxyType(_declared)
"""Everything that was declared so far, by name."""


def declare(*permissions: Permission) -> None:
    """Add to the catalogue. Raises DeclaredTwice."""
    for one in permissions:
        if _declared.setdefault(one.name, one) != one:
            raise DeclaredTwice(one.name)
