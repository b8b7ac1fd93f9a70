"""Why a decision is what it is, and what it would have been at a moment of the past."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from engine.clock import Clock, utc_now
from engine.errors import InvalidInput
from engine.principals import Principal
from tenants.access import catalogue, replay, rules, snapshot
from tenants.access.deciding import Facts
from tenants.access.rules import Considered, Decision, Reason
from tenants.sites.rules import Location


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with every grant that was looked at."""

    decision: Decision
    considered: list[Considered]
    at: datetime
    is_replayed: bool
    catalogue_version: int


def explain(
    *,
    principal: Principal,
    permission: str,
    where: Location | rules.Somewhere = rules.EVERYWHERE,
    amount_minor: int | None = None,
    currency: str = "",
    at: datetime | None = None,
    clock: Clock = utc_now,
) -> Explanation:
    """Look at each grant of the principal by itself.

    `at` asks about a moment of the past: grants, roles, groups and the tree of sites are those that the audit
    log tells of, what the permissions mean is what this release says. Raises InvalidInput (at),
    replay.NotReplayable.
    """
    now = clock()
    if at is not None and at > now:
        raise InvalidInput("It lies in the future.", field="at")
    facts: rules.Facts = Facts()
    holdings = snapshot.holdings_of(principal)
    if at is not None:
        past = replay.reconstruct(principal=principal, where=where, at=at)
        holdings, facts, where = past.holdings, past.facts, past.where
    considered = rules.explain(
        principal=principal,
        permission=permission,
        holdings=holdings,
        where=where,
        circumstances=rules.Circumstances(at=at or now, amount_minor=amount_minor, currency=currency),
        facts=facts,
    )
    return Explanation(
        decision=_concluded(principal, permission, considered),
        considered=considered,
        at=at or now,
        is_replayed=at is not None,
        catalogue_version=catalogue.version(),
    )


def _concluded(principal: Principal, permission: str, considered: list[Considered]) -> Decision:
    """The decision that follows from what was looked at; `deciding.check` gets there by a shorter way."""
    barred = rules.barrier(principal=principal, permission=permission)
    if barred is not None:
        return Decision(False, barred, missing=permission)
    holding = [one for one in considered if one.has_permission]
    covering = [one for one in holding if one.covers]
    if not covering:
        return Decision(False, Reason.OUT_OF_SCOPE if holding else Reason.NO_GRANT, missing=permission)
    ordered = sorted(covering, key=lambda one: (one.grant.is_limited, one.grant.id))
    return rules.conclude(permission=permission, weighed=[(one.grant, one.failures) for one in ordered])


def with_second_factor(principal: Principal, *, at: datetime) -> Principal:
    """The principal as if it had just shown its second factor."""
    return replace(principal, mfa_at=at)
