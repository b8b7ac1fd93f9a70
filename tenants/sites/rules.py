"""Pure rules of the tree of sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

DEPTH_MAX = 16


@dataclass(frozen=True, slots=True)
class Location:
    """Where something is: a site by its path, and the device itself when it is one.

    Both empty means the organization as a whole.
    """

    site_path: str | None = None
    device_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """A subtree (an empty path: whatever stands at a site) without some others; of it one device when it is named."""

    path: str
    except_paths: tuple[str, ...] = ()
    device_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """Over what somebody holds a permission: everywhere, or some subtrees, single devices and regions."""

    everywhere: bool = False
    site_paths: tuple[str, ...] = ()
    device_ids: tuple[UUID, ...] = ()
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True, slots=True)
class Zones:
    """The clocks of an organization: its own, and those that sites have set, by the sites' paths."""

    organization: str
    own: Mapping[str, str]

    def at(self, path: str) -> str:
        """The time zone of a place: the nearest site's that has set one, else the organization's."""
        for above in reversed(paths_above(path)):
            if above in self.own:
                return self.own[above]
        return self.organization

    def all(self) -> list[str]:
        """Every zone in use."""
        return sorted({self.organization, *self.own.values()})


def path_of(site_id: UUID, parent_path: str = "") -> str:
    """The path of a site: its ancestors' ids and its own, each in hex and closed by a slash.

    A site lies under another exactly when its path starts with the other's.
    """
    return f"{parent_path}{site_id.hex}/"


def ids_of(path: str) -> list[UUID]:
    """The sites on a path, from the top down."""
    return [UUID(part) for part in path.split("/") if part]


def paths_above(path: str) -> list[str]:
    """The paths of the sites on a path, from the top down, with its own."""
    return [path[: end + 1] for end, character in enumerate(path) if character == "/"]


def lies_within(path: str, ancestor_path: str) -> bool:
    """Whether the site of `path` is that of `ancestor_path`, or lies under it."""
    return path.startswith(ancestor_path)


def effective_time_zone(path: str, own_zones: Mapping[UUID, str], organization_zone: str) -> str:
    """The time zone at a site: its own, else the nearest ancestor's, else the organization's.

    `own_zones` has what is set on each site of the path, empty where nothing is.
    """
    for site_id in reversed(ids_of(path)):
        if own_zones.get(site_id):
            return own_zones[site_id]
    return organization_zone
