"""The decision, as a pure function of what somebody holds and of the circumstances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from engine.principals import Principal
from tenants.access.permissions import IMPERSONATION_ROLES, PERMISSIONS
from tenants.access.rules.holdings import HeldGrant, Holdings, Scope, Somewhere, reach_of
from tenants.access.rules.limits import Circumstances, failures
from tenants.access.rules.reasons import Reason
from tenants.sites.rules import Location, Reach, Region, Zones, lies_within

_STEP_UP = (Reason.MFA_REQUIRED,)
_ORDER = list(Reason)


class Facts(Protocol):
    """What a decision has to know only where a limit asks for it."""

    def zones(self) -> Zones:
        """The time zones of the organization and its sites."""

    def spent(self, *, principal: Principal, grants: Sequence[HeldGrant], local: datetime) -> Mapping[UUID, int]:
        """What the principal has spent by each of the grants on the day of `local`, the place's own time."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to "may this principal do that there?".

    `grant_id` names the grant that allows it; `missing` the permission that is lacking. `step_up` says that a
    fresh second factor, and nothing else, would turn the refusal into a permission.
    """

    allowed: bool
    reason: Reason
    grant_id: UUID | None = None
    missing: str | None = None
    step_up: bool = False


@dataclass(frozen=True, slots=True)
class Considered:
    """One grant as a decision sees it; `failures` are the limits that do not hold."""

    grant: HeldGrant
    has_permission: bool
    covers: bool
    failures: tuple[Reason, ...]

    @property
    def allows(self) -> bool:
        """Whether this one alone would do."""
        return self.has_permission and self.covers and not self.failures


def decide(
    *,
    principal: Principal,
    permission: str,
    holdings: Holdings,
    where: Location | Somewhere,
    circumstances: Circumstances,
    facts: Facts,
) -> Decision:
    """Default is no. `holdings` are the principal's own."""
    barred = barrier(principal=principal, permission=permission)
    if barred is not None:
        return Decision(False, barred, missing=permission)
    covering = holdings.covering(permission, where)
    if not covering:
        reason = Reason.OUT_OF_SCOPE if holdings.with_permission(permission) else Reason.NO_GRANT
        return Decision(False, reason, missing=permission)
    if not covering[0].is_limited:
        return Decision(True, Reason.GRANTED, grant_id=covering[0].id)
    found = weigh(
        principal=principal,
        permission=permission,
        grants=covering,
        where=where,
        circumstances=circumstances,
        facts=facts,
    )
    return conclude(permission=permission, weighed=found)


def barrier(*, principal: Principal, permission: str) -> Reason | None:
    """Why no grant at all could allow it, None when one could."""
    known = PERMISSIONS.get(permission)
    if known is None:
        return Reason.UNKNOWN_PERMISSION
    if principal.kind not in known.kinds:
        return Reason.WRONG_KIND
    if principal.scopes is not None and permission not in principal.scopes:
        return Reason.TOKEN_SCOPE
    return None


def weigh(
    *,
    principal: Principal,
    permission: str,
    grants: Sequence[HeldGrant],
    where: Location | Somewhere,
    circumstances: Circumstances,
    facts: Facts,
) -> list[tuple[HeldGrant, tuple[Reason, ...]]]:
    """Each grant with the limits of it that do not hold."""
    is_measured = PERMISSIONS[permission].is_measured
    daily = [one for one in grants if is_measured and one.limits.amount_per_day_max_minor is not None]
    local: Sequence[datetime] = ()
    if daily or any(one.limits.hours for one in grants):
        local = local_times(facts.zones(), where=where, at=circumstances.at)
    spent: Mapping[UUID, int] = {}
    if daily and circumstances.amount_minor is not None:
        spent = facts.spent(principal=principal, grants=daily, local=local[0])
    return [
        (
            one,
            failures(
                one.limits,
                circumstances=circumstances,
                local=local,
                is_measured=is_measured,
                mfa_at=principal.mfa_at,
                spent_minor=spent.get(one.id, 0),
            ),
        )
        for one in grants
    ]


def conclude(*, permission: str, weighed: Iterable[tuple[HeldGrant, tuple[Reason, ...]]]) -> Decision:
    """One grant that serves is enough. Otherwise the reason is that of the one that came closest."""
    refused = []
    for grant, failed in weighed:
        if not failed:
            return Decision(True, Reason.GRANTED, grant_id=grant.id)
        refused.append(failed)
    closest = min(refused, key=_distance)
    return Decision(False, closest[0], missing=permission, step_up=closest == _STEP_UP)


def _distance(failed: tuple[Reason, ...]) -> tuple[bool, int, list[int]]:
    """What the caller can do something about comes first, then what lacks least."""
    return failed != _STEP_UP, len(failed), [_ORDER.index(one) for one in failed]


def explain(
    *,
    principal: Principal,
    permission: str,
    holdings: Holdings,
    where: Location | Somewhere,
    circumstances: Circumstances,
    facts: Facts,
) -> list[Considered]:
    """Every grant of the principal and what it lacks, one after the other, without any short cut."""
    grants = sorted(holdings, key=lambda one: one.id)
    if permission not in PERMISSIONS:
        return [Considered(one, False, one.covers(where), ()) for one in grants]
    weighed = weigh(
        principal=principal,
        permission=permission,
        grants=grants,
        where=where,
        circumstances=circumstances,
        facts=facts,
    )
    return [Considered(one, permission in one.permissions, one.covers(where), failed) for one, failed in weighed]


def decide_for_operator(*, principal: Principal, permission: str) -> Decision:
    """As `decide`, for an operator of the platform, who holds no grants: the token's scopes are all there is."""
    if permission not in PERMISSIONS:
        return Decision(False, Reason.UNKNOWN_PERMISSION, missing=permission)
    if not any(permission in allowed for allowed in IMPERSONATION_ROLES.values()):
        return Decision(False, Reason.WRONG_KIND, missing=permission)
    if permission not in (principal.scopes or ()):
        return Decision(False, Reason.TOKEN_SCOPE, missing=permission)
    return Decision(True, Reason.GRANTED)


def reach(*, principal: Principal, permission: str, holdings: Holdings, at: datetime, facts: Facts) -> Reach:
    """Everything that `decide` would allow, as a filter. Nothing when it would never allow."""
    if barrier(principal=principal, permission=permission) is not None:
        return Reach()
    free = holdings.unlimited_reach(permission)
    limited = holdings.limited(permission)
    if free.everywhere or not limited:
        return free
    serving = [one for one in limited if not _fails_at_any_hour(one, principal, permission, at)]
    timed = [one for one in serving if one.limits.hours is not None]
    regions = [region for one in timed for region in _regions(one, zones=facts.zones(), at=at)]
    always = [one for one in holdings.with_permission(permission) if not one.is_limited]
    always += [one for one in serving if one.limits.hours is None]
    return replace(reach_of(always), regions=tuple(regions))


def local_times(zones: Zones, *, where: Location | Somewhere, at: datetime) -> list[datetime]:
    """The moment on the wall clock of the place; of each zone in use when the place is left open."""
    if isinstance(where, Somewhere):
        return [at.astimezone(ZoneInfo(name)) for name in zones.all()]
    return [at.astimezone(ZoneInfo(zones.at(where.site_path or "")))]


def _fails_at_any_hour(grant: HeldGrant, principal: Principal, permission: str, at: datetime) -> bool:
    failed = failures(
        replace(grant.limits, hours=None),
        circumstances=Circumstances(at=at),
        local=(),
        is_measured=PERMISSIONS[permission].is_measured,
        mfa_at=principal.mfa_at,
        spent_minor=0,
    )
    return bool(failed)


def _regions(grant: HeldGrant, *, zones: Zones, at: datetime) -> Iterator[Region]:
    """Where the grant's hours are open now: its own place, less the parts with another clock that are closed."""
    hours = grant.limits.hours
    if hours is None:
        return
    root = grant.site_path or ""
    below = {path: zone for path, zone in zones.own.items() if lies_within(path, root) and path != root}

    def is_open(zone: str) -> bool:
        return hours.include(at.astimezone(ZoneInfo(zone)))

    closed = [path for path, zone in below.items() if not is_open(zone)]
    tops = [root] if is_open(zones.at(root)) else []
    tops += [path for path, zone in below.items() if is_open(zone)]
    for top in tops:
        yield Region(
            path=top,
            except_paths=tuple(path for path in closed if lies_within(path, top)),
            device_id=grant.device_id if grant.scope is Scope.DEVICE else None,
        )
