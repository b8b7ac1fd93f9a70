"""Reads of the tree of sites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from engine.errors import NotFound
from engine.principals import Principal
from engine.tenancy.context import current_organization
from tenants.sites import rules
from tenants.sites.models import Site, SiteQuerySet


class ReachOf(Protocol):
    """Answers over what `principal` holds `permission`."""

    def __call__(self, *, principal: Principal, permission: str) -> rules.Reach: ...


class NoReach(RuntimeError):
    """Nobody said how to find out what a principal may see: nothing can be shown."""


_reach_of: ReachOf | None = None


def set_reach(reach_of: ReachOf) -> None:
    """Tell how to find out what a principal may see. Access, which lies above sites, does at start."""
    global _reach_of
    _reach_of = reach_of


def visible_to(*, principal: Principal, permission: str = "sites.read") -> SiteQuerySet:
    """The sites over which `principal` holds `permission`. Raises NoReach before `set_reach`."""
    if _reach_of is None:
        raise NoReach
    reach = _reach_of(principal=principal, permission=permission)
    if reach.everywhere:
        return Site.objects.all()
    return Site.objects.within(reach.site_paths)


def site(*, site_id: UUID) -> Site:
    """One site. Raises NotFound."""
    found = Site.objects.filter(id=site_id).first()
    if found is None:
        raise NotFound
    return found


def effective_time_zones(*, sites: Sequence[Site]) -> dict[UUID, str]:
    """The time zone that holds at each of `sites` (IANA names). One query, or none when all have their own."""
    zones = {one.id: one.time_zone for one in sites}
    above = {ancestor for one in sites if not one.time_zone for ancestor in one.ancestor_ids}
    missing = above - zones.keys()
    if missing:
        zones.update(Site.objects.filter(id__in=missing).values_list("id", "time_zone"))
    default = current_organization().time_zone
    return {one.id: rules.effective_time_zone(one.path, zones, default) for one in sites}
