"""What somebody was given, arranged so that a decision looks only at what could allow it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from tenants.access.rules.limits import NO_LIMITS, Limits
from tenants.sites.rules import Location, Reach, lies_within, paths_above


class Scope(StrEnum):
    """Over what a grant reaches."""

    ORGANIZATION = "organization"
    SITE = "site"
    DEVICE = "device"


class Somewhere:
    """Asks whether a permission is held anywhere at all, over however little."""


SOMEWHERE: Final = Somewhere()
EVERYWHERE: Final = Location()


@dataclass(frozen=True, slots=True)
class HeldGrant:
    """A grant as the decision sees it. `site_path` is set for a site's subtree, `device_id` for a device.

    `permissions` are the role's; `group_id` is set when it is held by being in a group.
    """

    id: UUID
    role: str
    scope: Scope
    permissions: frozenset[str]
    site_path: str | None = None
    device_id: UUID | None = None
    limits: Limits = NO_LIMITS
    group_id: UUID | None = None

    @property
    def place(self) -> Location:
        """Over what it reaches, as a place."""
        return Location(site_path=self.site_path, device_id=self.device_id)

    @property
    def is_limited(self) -> bool:
        """Whether anything beside its place bounds it."""
        return self.limits != NO_LIMITS

    def covers(self, where: Location | Somewhere) -> bool:
        """Whether it reaches over the place."""
        if isinstance(where, Somewhere) or self.scope is Scope.ORGANIZATION:
            return True
        if self.scope is Scope.SITE:
            return (
                where.site_path is not None
                and self.site_path is not None
                and lies_within(where.site_path, self.site_path)
            )
        return where.device_id is not None and where.device_id == self.device_id


class _Index:
    """The grants of one permission by their place."""

    def __init__(self, grants: Iterable[HeldGrant]) -> None:
        # Without limits first: they spare the look at hours and amounts.
        self.grants = sorted(grants, key=lambda one: (one.is_limited, one.id))
        self.limited = [one for one in self.grants if one.is_limited]
        self._everywhere: list[HeldGrant] = []
        self._by_site: dict[str, list[HeldGrant]] = {}
        self._by_device: dict[UUID, list[HeldGrant]] = {}
        for one in self.grants:
            if one.site_path is not None:
                self._by_site.setdefault(one.site_path, []).append(one)
            elif one.device_id is not None:
                self._by_device.setdefault(one.device_id, []).append(one)
            else:
                self._everywhere.append(one)
        self.unlimited_reach = reach_of(one for one in self.grants if not one.is_limited)

    def covering(self, where: Location | Somewhere) -> list[HeldGrant]:
        if isinstance(where, Somewhere):
            return self.grants
        found = list(self._everywhere)
        for path in paths_above(where.site_path or ""):
            found += self._by_site.get(path, ())
        if where.device_id is not None:
            found += self._by_device.get(where.device_id, ())
        return sorted(found, key=lambda one: (one.is_limited, one.id)) if len(found) > 1 else found


class Holdings:
    """Every grant that one principal holds, directly and by groups."""

    def __init__(self, grants: Iterable[HeldGrant] = ()) -> None:
        self._grants = tuple(grants)
        self._indexes: dict[str, _Index] = {}

    def __iter__(self) -> Iterator[HeldGrant]:
        return iter(self._grants)

    def __len__(self) -> int:
        return len(self._grants)

    def with_permission(self, permission: str) -> list[HeldGrant]:
        """Those whose role has it, those without limits first."""
        return self._index(permission).grants

    def covering(self, permission: str, where: Location | Somewhere) -> list[HeldGrant]:
        """Those whose role has it and that reach over the place. Costs no more for holding much."""
        return self._index(permission).covering(where)

    def limited(self, permission: str) -> list[HeldGrant]:
        """Those with limits whose role has it."""
        return self._index(permission).limited

    def unlimited_reach(self, permission: str) -> Reach:
        """Over what it is held without any limit."""
        return self._index(permission).unlimited_reach

    def _index(self, permission: str) -> _Index:
        found = self._indexes.get(permission)
        if found is None:
            found = _Index(one for one in self._grants if permission in one.permissions)
            self._indexes[permission] = found
        return found


def reach_of(grants: Iterable[HeldGrant]) -> Reach:
    """What the grants cover together, as a filter."""
    held = list(grants)
    paths: list[str] = []
    for path in sorted({one.site_path for one in held if one.site_path is not None}):
        # In this order whatever lies under a site follows it directly.
        if not paths or not lies_within(path, paths[-1]):
            paths.append(path)
    return Reach(
        everywhere=any(one.scope is Scope.ORGANIZATION for one in held),
        site_paths=tuple(paths),
        device_ids=tuple(sorted({one.device_id for one in held if one.device_id is not None})),
    )


def held_permissions(grants: Iterable[HeldGrant]) -> frozenset[str]:
    """Everything that the grants allow somewhere, within whatever limits."""
    return frozenset().union(*(grant.permissions for grant in grants))
