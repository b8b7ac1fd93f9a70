"""Making, renaming and moving sites."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import F, TextField, Value
from django.db.models.functions import Concat, Substr

from engine import ids
from engine.clock import Clock, utc_now
from engine.errors import Conflict, InvalidInput, NotFound
from engine.principals import Principal
from tenants.audit import services as audit
from tenants.sites import rules
from tenants.sites.models import Site

# Any constant: the lock's space is the database, so the schema's name is hashed into the second half.
_TREE_LOCK = 0x5173


class SiteNameTaken(Conflict):
    """Another site at the same place of the tree has that name, in any case."""

    code = "site_name_taken"
    title = "The name is taken here"


class SiteCycle(Conflict):
    """A site cannot stand under itself."""

    code = "site_cycle"
    title = "A site cannot stand under itself"


class SiteTooDeep(Conflict):
    """The tree would be deeper than it may be."""

    code = "site_too_deep"
    title = f"Sites are nested at most {rules.DEPTH_MAX} deep"


class UnknownTimeZone(InvalidInput):
    """Not a name of the IANA time zone database."""

    code = "unknown_time_zone"
    title = "Unknown time zone"


class AllowMove(Protocol):
    """Asked in the transaction of a move, before anything changes; refuses by raising."""

    def __call__(self, *, path: str, new_parent_path: str, by: Principal) -> None: ...


_allow_move: AllowMove | None = None


def set_allow_move(allow: AllowMove) -> None:
    """Tell whom to ask before a site moves. Access, which lies above sites, does at start."""
    global _allow_move
    _allow_move = allow


class _Unset:
    """Says that an argument was not given, where None is a value."""


UNSET = _Unset()


def create(
    *,
    name: str,
    by: Principal,
    parent_id: UUID | None = None,
    time_zone: str = "",
    clock: Clock = utc_now,
) -> Site:
    """Make a site, at the top or under `parent_id`. An empty time zone is inherited.

    Raises InvalidInput (name, parent_id, time_zone), SiteNameTaken, SiteTooDeep.
    """
    _check_time_zone(time_zone)
    now = clock()
    with transaction.atomic():
        _lock_tree()
        parent = parent_site(parent_id)
        site_id = ids.uuid7()
        site = Site(
            id=site_id,
            parent=parent,
            name=_checked_name(name),
            time_zone=time_zone,
            path=rules.path_of(site_id, parent.path if parent else ""),
            created_at=now,
            updated_at=now,
        )
        _check_depth(site.path)
        _save(site, is_new=True)
        audit.write(action="site.created", actor=by, resource=site.public_id, detail=described(site), clock=clock)
    return site


def described(site: Site) -> dict[str, str | None]:
    """The site as the audit log tells of it: enough to know the tree as it was."""
    return {
        "name": site.name,
        "parent": ids.encode(Site.id_prefix, site.parent_id) if site.parent_id else None,
        "time_zone": site.time_zone,
    }


def update(
    *,
    site_id: UUID,
    by: Principal,
    name: str | None = None,
    parent_id: UUID | _Unset | None = UNSET,
    time_zone: str | None = None,
    guard: Callable[[Site], None] | None = None,
    clock: Clock = utc_now,
) -> Site:
    """Rename a site, give it another time zone, or move it with all that stands under it.

    `parent_id` None moves it to the top. `guard` sees the locked site before anything changes, and may
    refuse by raising. Raises NotFound, SiteCycle and what `create` raises.
    """
    with transaction.atomic():
        _lock_tree()
        site = Site.objects.select_for_update().filter(id=site_id).first()
        if site is None:
            raise NotFound
        if guard is not None:
            guard(site)
        before = described(site)
        changed = _apply(site, name=name, time_zone=time_zone)
        if not isinstance(parent_id, _Unset) and parent_id != site.parent_id:
            _move(site, parent_site(parent_id), by=by)
            changed.append("parent_id")
        if changed:
            site.updated_at = clock()
            _save(site, is_new=False)
            detail = {"changed": changed, "before": before, "after": described(site)}
            audit.write(action="site.updated", actor=by, resource=site.public_id, detail=detail, clock=clock)
    return site


def _apply(site: Site, *, name: str | None, time_zone: str | None) -> list[str]:
    changed = []
    if name is not None and _checked_name(name) != site.name:
        site.name = _checked_name(name)
        changed.append("name")
    if time_zone is not None and time_zone != site.time_zone:
        _check_time_zone(time_zone)
        site.time_zone = time_zone
        changed.append("time_zone")
    return changed


def _move(site: Site, parent: Site | None, *, by: Principal) -> None:
    """Rewrite the paths of everything beneath; the site itself is saved by the caller."""
    if parent is not None and rules.lies_within(parent.path, site.path):
        raise SiteCycle("The new parent stands under this site.", field="parent_id")
    if _allow_move is not None:
        _allow_move(path=site.path, new_parent_path=parent.path if parent else "", by=by)
    old, new = site.path, rules.path_of(site.id, parent.path if parent else "")
    beneath = Site.objects.beneath(site).exclude(id=site.id)
    deepest = max((path for path in beneath.values_list("path", flat=True)), key=len, default=old)
    _check_depth(new + deepest[len(old) :])
    beneath.update(path=Concat(Value(new), Substr(F("path"), len(old) + 1), output_field=TextField()))
    site.parent, site.path = parent, new


def _save(site: Site, *, is_new: bool) -> None:
    try:
        with transaction.atomic():
            site.save(force_insert=is_new, force_update=not is_new)
    except IntegrityError as error:
        if "sites_site_name" not in str(error):
            raise
        raise SiteNameTaken("Another site here has this name.", field="name") from error


def parent_site(parent_id: UUID | None) -> Site | None:
    if parent_id is None:
        return None
    parent = Site.objects.filter(id=parent_id).first()
    if parent is None:
        raise InvalidInput("No site has this id.", field="parent_id")
    return parent


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > 120:
        raise InvalidInput("A name has 1 to 120 characters.", field="name")
    return name


def _check_time_zone(name: str) -> None:
    if name and name not in _time_zones():
        raise UnknownTimeZone("Use a name such as Europe/Lisbon.", field="time_zone")


def _check_depth(path: str) -> None:
    if len(rules.ids_of(path)) > rules.DEPTH_MAX:
        raise SiteTooDeep(field="parent_id")


@lru_cache(maxsize=1)
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _lock_tree() -> None:
    """One change of the organization's tree at a time: two moves could close a cycle between them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(current_schema()))", [_TREE_LOCK])
