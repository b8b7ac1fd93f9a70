"""Reads of roles, groups, grants and apps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from django.db.models import QuerySet

from engine.errors import NotFound
from engine.permissions import PERMISSIONS
from engine.principals import Principal, PrincipalKind
from shared.accounts import selectors as accounts
from tenants.access import snapshot
from tenants.access.models import GROUP, App, Grant, Grantee, Group, GroupMembership, Role
from tenants.access.permissions import ROLES
from tenants.access.rules import HeldGrant
from tenants.sites import selectors as sites
from tenants.sites.rules import Location

DeviceLookup: TypeAlias = Callable[[Iterable[UUID]], Mapping[UUID, Location]]
_device_lookup: DeviceLookup | None = None


@dataclass(frozen=True, slots=True)
class RoleView:
    """A role, built in (`row` None) or the organization's own."""

    name: str
    meaning: str
    permissions: frozenset[str]
    kinds: frozenset[PrincipalKind]
    row: Role | None = None

    @property
    def public_id(self) -> str | None:
        """The id by which it is changed, None for a built-in one."""
        return self.row.public_id if self.row else None

    @property
    def updated_at(self) -> datetime | None:
        return self.row.updated_at if self.row else None


def roles() -> list[RoleView]:
    """Every role: the built-in ones, then the organization's own by name."""
    built_in = [RoleView(one.name, one.meaning, one.permissions, one.kinds) for one in ROLES.values()]
    return built_in + [as_role(row) for row in Role.objects.order_by("name")]


def role_named(name: str) -> RoleView | None:
    """The role of that name. No query for a built-in one."""
    built_in = ROLES.get(name)
    if built_in is not None:
        return RoleView(name, built_in.meaning, built_in.permissions, built_in.kinds)
    row = Role.objects.filter(name=name).first()
    return as_role(row) if row else None


def role(*, role_id: UUID) -> RoleView:
    """One of the organization's own roles. Raises NotFound."""
    row = Role.objects.filter(id=role_id).first()
    if row is None:
        raise NotFound
    return as_role(row)


def as_role(row: Role) -> RoleView:
    """A role of the organization's own."""
    return RoleView(row.name, row.meaning, frozenset(row.permissions), kinds_of(row.permissions), row=row)


def kinds_of(permissions: Iterable[str]) -> frozenset[PrincipalKind]:
    """Who can use all of the permissions; nobody when they have no user in common."""
    kinds = [PERMISSIONS[name].kinds for name in permissions if name in PERMISSIONS]
    return frozenset.intersection(*kinds) if kinds else frozenset()


def groups() -> QuerySet[Group]:
    """Every group of the organization."""
    return Group.objects.all()


def group(*, group_id: UUID) -> Group:
    """One group. Raises NotFound."""
    found = Group.objects.filter(id=group_id).first()
    if found is None:
        raise NotFound
    return found


def memberships(*, group_id: UUID) -> QuerySet[GroupMembership]:
    """Who is in a group."""
    return GroupMembership.objects.select_related("group").filter(group_id=group_id)


def kind_within(principal: Principal | Grantee) -> str:
    """What a principal is; of a group, what its members are. Raises NotFound for a group that is not there."""
    if principal.kind == GROUP:
        return group(group_id=principal.id).kind
    return principal.kind


def grants_of(principal: Principal) -> list[HeldGrant]:
    """What the principal holds, directly and by groups. One query; none for those who hold no grants."""
    return list(snapshot.holdings_of(principal))


def principals(wanted: Iterable[tuple[str, UUID]]) -> dict[tuple[str, UUID], Principal]:
    """The principals of those kinds and ids that exist and are not deactivated. At most three queries."""
    by_kind: dict[str, list[UUID]] = {}
    for kind, principal_id in wanted:
        by_kind.setdefault(kind, []).append(principal_id)
    found: list[Principal] = []
    if asked := by_kind.get("member"):
        found += [one.principal for one in accounts.users().filter(id__in=asked, is_active=True)]
    if asked := by_kind.get("app"):
        found += [one.principal for one in apps().filter(id__in=asked, is_active=True)]
    if asked := by_kind.get("device"):
        found += [Principal(kind="device", id=one) for one in device_locations(asked)]
    return {(one.kind, one.id): one for one in found}


def places(wanted: Iterable[tuple[str, UUID]]) -> dict[tuple[str, UUID], Location]:
    """Where the sites (`site`) and devices (`dev`) are, without those that do not exist. At most two queries."""
    asked = list(wanted)
    sites_asked = [one for prefix, one in asked if prefix == "site"]
    devices_asked = [one for prefix, one in asked if prefix == "dev"]
    found: dict[tuple[str, UUID], Location] = {}
    if sites_asked:
        found |= {("site", one): where for one, where in sites.locations(sites_asked).items()}
    if devices_asked:
        found |= {("dev", one): where for one, where in device_locations(devices_asked).items()}
    return found


def device_locations(device_ids: Iterable[UUID]) -> Mapping[UUID, Location]:
    """Where devices stand, without those that do not exist."""
    return _device_lookup(device_ids) if _device_lookup else {}


def register_device_lookup(lookup: DeviceLookup) -> None:
    """Tell how to find where devices stand; those that do not exist are left out.

    Devices lie above access in the order of apps, so their app hands this in when it starts.
    """
    global _device_lookup
    _device_lookup = lookup


def grants() -> QuerySet[Grant]:
    """Every grant of the organization, with its site."""
    return Grant.objects.select_related("site")


def grant(*, grant_id: UUID) -> Grant:
    """One grant with its site. Raises NotFound."""
    found = grants().filter(id=grant_id).first()
    if found is None:
        raise NotFound
    return found


def apps() -> QuerySet[App]:
    """Every app of the organization."""
    return App.objects.all()


def app(*, app_id: UUID) -> App:
    """One app. Raises NotFound."""
    found = App.objects.filter(id=app_id).first()
    if found is None:
        raise NotFound
    return found
