"""Reads of the tree of sites."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol
from uuid import UUID

from django.db.models import Q

from engine.errors import NotFound
from engine.principals import Principal
from engine.tenancy.context import current_organization
from tenants.sites import rules
from tenants.sites.models import Site, SiteQuerySet

# Each prefix is a range of the index on paths; beyond this many, one look through all sites is cheaper.
_PREFIXES_BY_INDEX_MAX = 32


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
    return Site.objects.filter(within(reach, site_id="id", device_id=None))


def within(reach: rules.Reach, *, site_id: str, device_id: str | None) -> Q:
    """A filter for rows that stand where the reach goes: the one SQL twin of a decision.

    `site_id` and `device_id` are the lookups that lead to the ids of a row's site and device; None when no
    single device of a site is a row of its own.
    """
    if reach.everywhere:
        return Q()
    # No row has no key: a filter that lets nothing through.
    found = Q(pk__in=[])
    places = _beneath(reach.site_paths)
    for region in reach.regions:
        inside = Q(path__startswith=region.path)
        if region.except_paths:
            inside &= ~Q(path__startswithany=list(region.except_paths))
        if region.device_id is None:
            places |= inside
        elif device_id is not None:
            sites = Site.objects.filter(inside).values("id")
            found |= Q(**{device_id: region.device_id, f"{site_id}__in": sites})
    if reach.site_paths or any(one.device_id is None for one in reach.regions):
        # The sites are looked through once and hashed, so that no row of a long list has to be joined with its own.
        found |= Q(**{f"{site_id}__in": Site.objects.filter(places).values("id")})
    if device_id is not None and reach.device_ids:
        found |= Q(**{f"{device_id}__in": reach.device_ids})
    return found


def _beneath(paths: Sequence[str]) -> Q:
    """The sites of those paths and everything under them."""
    if len(paths) > _PREFIXES_BY_INDEX_MAX:
        return Q(path__startswithany=list(paths))
    found = Q(pk__in=[])
    for path in paths:
        found |= Q(path__startswith=path)
    return found


def zones() -> rules.Zones:
    """Every clock of the organization. One query."""
    own = Site.objects.exclude(time_zone="").values_list("path", "time_zone")
    return rules.Zones(organization=current_organization().time_zone, own=dict(own))


def site(*, site_id: UUID) -> Site:
    """One site. Raises NotFound."""
    found = Site.objects.filter(id=site_id).first()
    if found is None:
        raise NotFound
    return found


def all_sites() -> SiteQuerySet:
    """The whole tree, whoever asks."""
    return Site.objects.all()


def locations(site_ids: Iterable[UUID]) -> dict[UUID, rules.Location]:
    """Where sites are, without those that do not exist. One query."""
    return {one.id: one.location for one in Site.objects.filter(id__in=list(site_ids))}


def effective_time_zones(*, sites: Sequence[Site]) -> dict[UUID, str]:
    """The time zone that holds at each of `sites` (IANA names). One query, or none when all have their own."""
    zones = {one.id: one.time_zone for one in sites}
    above = {ancestor for one in sites if not one.time_zone for ancestor in one.ancestor_ids}
    missing = above - zones.keys()
    if missing:
        zones.update(Site.objects.filter(id__in=missing).values_list("id", "time_zone"))
    default = current_organization().time_zone
    return {one.id: rules.effective_time_zone(one.path, zones, default) for one in sites}
