"""The permissions of this app, and the built-in roles over everybody's. Imports no Django.

docs/permissions.md is written from here and held by a test; docs/access.md says what the roles are for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from engine.permissions import DEVICES, PEOPLE_AND_APPS, PERMISSIONS, Permission, declare
from engine.principals import PrincipalKind

__all__ = ["IMPERSONATION_ROLES", "OWNER", "PERMISSIONS", "ROLES", "Role"]

OWNER = "owner"
AUDITOR = "auditor"

_ADMIN = frozenset({"admin"})

declare(
    Permission("members.read", "See members, groups, roles and grants.", since=1, roles=_ADMIN),
    Permission(
        "members.write",
        "Invite and deactivate members; make roles and groups; give and take roles.",
        since=1,
        roles=_ADMIN,
    ),
    Permission("apps.read", "See apps, never their secrets.", since=1, roles=_ADMIN),
    Permission("apps.write", "Make and deactivate apps; rotate their secrets.", since=1, roles=_ADMIN),
)


@dataclass(frozen=True, slots=True)
class Role:
    """A built-in role: a named set of permissions."""

    name: str
    meaning: str
    kinds: frozenset[PrincipalKind] = PEOPLE_AND_APPS
    """Which principals can be given the role."""

    @property
    def permissions(self) -> frozenset[str]:
        """The owner has all that humans can use, an auditor all that reads, the rest what names them."""
        return frozenset(one.name for one in PERMISSIONS.values() if _has(self.name, one))


_ROLES = (
    Role(OWNER, "Everything. At least one active member always holds it.", kinds=frozenset({"member"})),
    Role("admin", "Runs the organization, but moves no money and touches no provider credentials."),
    Role("operator", "Daily work: enrols and recognises people, takes and refunds payments."),
    Role("analyst", "Sees figures and flows, and nobody's identity."),
    Role(AUDITOR, "Reads everything, the audit log included, and changes nothing."),
    Role("terminal", "What a payment terminal does.", kinds=DEVICES),
)
ROLES: Mapping[str, Role] = MappingProxyType({one.name: one for one in _ROLES})


def _has(role: str, permission: Permission) -> bool:
    if role in permission.roles:
        return True
    if "member" not in permission.kinds:
        return False
    return role == OWNER or (role == AUDITOR and permission.name.endswith(".read"))


class _ImpersonationRoles(Mapping[str, frozenset[str]]):
    """What each role of an impersonation allows, from the catalogue as it is when asked."""

    _more: Mapping[str, frozenset[str]] = MappingProxyType({"read": frozenset(), "assist": frozenset({"sites.write"})})

    def __getitem__(self, role: str) -> frozenset[str]:
        return ROLES[AUDITOR].permissions | self._more[role]

    def __iter__(self) -> Iterator[str]:
        return iter(self._more)

    def __len__(self) -> int:
        return len(self._more)


IMPERSONATION_ROLES: Mapping[str, frozenset[str]] = _ImpersonationRoles()
"""What an operator of the platform may do who looks into an organization. Never what moves money, touches
biometrics, or would outlive the impersonation: accounts, apps, devices, endpoints, credentials, settings."""
