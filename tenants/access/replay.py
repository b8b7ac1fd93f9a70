"""The policy as it was: what stands now, with everything undone that the audit log tells of since.

Each entry of a change says what was before and after, so the walk goes backwards from the rows and needs the
log of the time since, and no more (docs/adr/0084-the-past-is-undone-from-the-audit-log.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from engine import ids
from engine.errors import Conflict, InvalidInput
from engine.principals import Principal
from engine.tenancy.context import current_organization
from tenants.access import limiting, policy, rules, selectors
from tenants.access.models import Group, GroupMembership, Role
from tenants.access.permissions import ROLES
from tenants.access.rules import HeldGrant, Holdings, Scope
from tenants.audit import selectors as audit
from tenants.sites import selectors as sites
from tenants.sites.rules import Location, Zones, ids_of, path_of

_TAKEN = "checkout.recognised"
_CAME_TO_NOTHING = ("checkout.declined", "checkout.expired")


class NotReplayable(Conflict):
    """The audit log does not tell what was before a change since then."""

    code = "not_replayable"
    title = "The audit log does not reach back to this moment"


@dataclass(frozen=True, slots=True)
class PastFacts:
    """What a decision of that moment had to know."""

    at: datetime
    clocks: Zones

    def zones(self) -> Zones:
        return self.clocks

    def spent(self, *, principal: Principal, grants: Sequence[HeldGrant], local: datetime) -> Mapping[UUID, int]:
        """Summed over the checkouts of that day until that moment, as the log tells of them."""
        told = audit.entries().filter(
            action__in=(_TAKEN, *_CAME_TO_NOTHING),
            actor_kind=principal.kind,
            actor_id=principal.id,
            decision_id__in=[one.id for one in grants],
            created_at__gte=local.replace(hour=0, minute=0, second=0, microsecond=0),
            created_at__lte=self.at,
        )
        open_by_checkout: dict[str, tuple[UUID, int]] = {}
        for entry in told.order_by("created_at", "id"):
            if entry.action == _TAKEN and entry.decision_id is not None:
                open_by_checkout[entry.resource] = (entry.decision_id, entry.detail["amount_minor"])
            elif entry.action != _TAKEN:
                open_by_checkout.pop(entry.resource, None)
        spent: dict[UUID, int] = {}
        for grant_id, amount_minor in open_by_checkout.values():
            spent[grant_id] = spent.get(grant_id, 0) + amount_minor
        return spent


@dataclass(frozen=True, slots=True)
class Past:
    """What one decision depended on, at one moment."""

    holdings: Holdings
    facts: PastFacts
    where: Location | rules.Somewhere


@dataclass(slots=True)
class _Rewound:
    """Rows as dicts by their public ids, undone entry by entry, the newest first."""

    person: str
    grants: dict[str, dict[str, Any]] = field(default_factory=dict)
    roles: dict[str, dict[str, Any]] = field(default_factory=dict)
    sites: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    device_site: str | None = None
    device: str | None = None

    def undo(self, action: str, resource: str, detail: Mapping[str, Any]) -> None:
        noun, _, verb = action.partition(".")
        if noun == "group":
            if detail.get("principal") == self.person:
                (self.groups.discard if verb == "member_added" else self.groups.add)(resource)
        elif noun == "device":
            if resource == self.device:
                self.device_site = None if verb == "enrolled" else detail["from"]
        else:
            rows = {"grant": self.grants, "role": self.roles, "site": self.sites}[noun]
            if verb == "created":
                rows.pop(resource, None)
            elif verb == "deleted":
                rows[resource] = dict(detail)
            elif "before" in detail:
                rows[resource] = dict(detail["before"])
            else:
                raise NotReplayable(f"{resource} changed since, and the log does not say what it was.")

    def path(self, site: str) -> str:
        """The path of a site in the tree as it was; empty when it was not there."""
        above: list[str] = []
        at: str | None = site
        while at is not None and at in self.sites and len(above) <= len(self.sites):
            above.append(at)
            at = self.sites[at]["parent"]
        path = ""
        for one in reversed(above):
            path = path_of(ids.decode("site", one), path)
        return path


_ACTIONS = (
    "grant.created",
    "grant.deleted",
    "role.created",
    "role.updated",
    "role.deleted",
    "group.member_added",
    "group.member_removed",
    "site.created",
    "site.updated",
    "device.enrolled",
    "device.transferred",
)


def reconstruct(*, principal: Principal, where: Location | rules.Somewhere, at: datetime) -> Past:
    """What a decision about the principal and that place depended on, at the moment `at`.

    The number of queries does not depend on how much there is. Raises NotReplayable, InvalidInput
    (resource) when the place did not exist yet.
    """
    rewound = _present(principal, where)
    since = audit.entries().filter(action__in=_ACTIONS, created_at__gt=at)
    for action, resource, detail in since.order_by("-created_at", "-id").values_list("action", "resource", "detail"):
        rewound.undo(action, resource, detail)
    own = {rewound.path(site): row["time_zone"] for site, row in rewound.sites.items() if row["time_zone"]}
    zones = Zones(organization=current_organization().time_zone, own=own)
    return Past(
        holdings=Holdings(_held(rewound)),
        facts=PastFacts(at=at, clocks=zones),
        where=_where(rewound, where),
    )


def _present(principal: Principal, where: Location | rules.Somewhere) -> _Rewound:
    found = _Rewound(person=principal.public_id)
    found.roles = {one.public_id: {"name": one.name, "permissions": one.permissions} for one in Role.objects.all()}
    found.sites = {
        one.public_id: {
            "parent": ids.encode("site", one.parent_id) if one.parent_id else None,
            "time_zone": one.time_zone,
        }
        for one in sites.all_sites()
    }
    found.grants = {one.public_id: policy.described(one) for one in selectors.grants()}
    in_groups = GroupMembership.objects.filter(principal_id=principal.id).values_list("group_id", flat=True)
    found.groups = {ids.encode(Group.id_prefix, one) for one in in_groups}
    if isinstance(where, Location) and where.device_id is not None:
        found.device = ids.encode("dev", where.device_id)
        found.device_site = ids.encode("site", ids_of(where.site_path or "")[-1])
    return found


def _where(rewound: _Rewound, where: Location | rules.Somewhere) -> Location | rules.Somewhere:
    """The same thing where it stood then."""
    if not isinstance(where, Location) or where.site_path is None:
        return where
    site = rewound.device_site if rewound.device else ids.encode("site", ids_of(where.site_path)[-1])
    path = rewound.path(site) if site else ""
    if not path:
        raise InvalidInput("It did not exist at this moment.", field="resource")
    return Location(site_path=path, device_id=where.device_id)


def _held(rewound: _Rewound) -> Iterator[HeldGrant]:
    own = {row["name"]: frozenset(row["permissions"]) for row in rewound.roles.values()}
    for public_id, told in rewound.grants.items():
        if told["principal"] != rewound.person and told["principal"] not in rewound.groups:
            continue
        role = told["role"]
        path = rewound.path(told["site"]) if "site" in told else None
        group = told["principal"] if told["principal"] != rewound.person else None
        yield HeldGrant(
            id=ids.decode("grant", public_id),
            role=role,
            scope=Scope(told["scope"]),
            permissions=ROLES[role].permissions if role in ROLES else own.get(role, frozenset()),
            site_path=path,
            device_id=ids.decode("dev", told["device"]) if "device" in told else None,
            limits=limiting.from_told(told.get("limits", {})),
            group_id=ids.decode(Group.id_prefix, group) if group else None,
        )
