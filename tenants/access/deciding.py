"""May this principal do that there, now? One answer, and its twin for lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import Q

from engine.api.access import SOMEWHERE
from engine.clock import Clock, utc_now
from engine.principals import Principal
from tenants.access import rules, snapshot
from tenants.access.models import DailySpend
from tenants.access.rules import Circumstances, Decision, HeldGrant, Holdings
from tenants.sites import selectors as sites
from tenants.sites.rules import Location, Reach, Zones


class Facts:
    """What decisions of one moment have to know, read where a limit asks for it, and once."""

    @cached_property
    def _zones(self) -> Zones:
        return sites.zones()

    def zones(self) -> Zones:
        return self._zones

    def spent(self, *, principal: Principal, grants: Sequence[HeldGrant], local: datetime) -> Mapping[UUID, int]:
        rows = DailySpend.objects.filter(
            grant_id__in=[one.id for one in grants], principal_id=principal.id, day=local.date()
        )
        return dict(rows.values_list("grant_id", "amount_minor"))


def check(
    *,
    principal: Principal,
    permission: str,
    resource: Any = None,
    amount_minor: int | None = None,
    currency: str = "",
    clock: Clock = utc_now,
) -> Decision:
    """May `principal` do `permission` there? Default is no. One query, whatever there is.

    `resource` is anything with a `location` (tenants.sites.rules.Location). None, or a resource
    without one, asks about the organization as a whole; `SOMEWHERE` asks whether it is held at all.
    A grant that hours bound costs a query more, and so does one that amounts of a day bound.
    """
    if principal.kind == "operator":
        return rules.decide_for_operator(principal=principal, permission=permission)
    return rules.decide(
        principal=principal,
        permission=permission,
        holdings=snapshot.holdings_of(principal),
        where=place_of(resource),
        circumstances=Circumstances(at=clock(), amount_minor=amount_minor, currency=currency),
        facts=Facts(),
    )


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a batch."""

    principal: Principal
    permission: str
    where: Location | rules.Somewhere = rules.EVERYWHERE
    amount_minor: int | None = None
    currency: str = ""

    def answer(self, holdings: Holdings, facts: Facts, *, clock: Clock) -> Decision:
        if self.principal.kind == "operator":
            return rules.decide_for_operator(principal=self.principal, permission=self.permission)
        return rules.decide(
            principal=self.principal,
            permission=self.permission,
            holdings=holdings,
            where=self.where,
            circumstances=Circumstances(at=clock(), amount_minor=self.amount_minor, currency=self.currency),
            facts=facts,
        )


def check_all(*, questions: Sequence[Question], clock: Clock = utc_now) -> list[Decision]:
    """As `check` for many, still one query."""
    held = snapshot.holdings_of_all(one.principal for one in questions)
    facts = Facts()
    return [one.answer(held[one.principal], facts, clock=clock) for one in questions]


def reach(*, principal: Principal, permission: str, clock: Clock = utc_now) -> Reach:
    """Over what `principal` holds `permission`, to filter a list by. One query."""
    if principal.kind == "operator":
        return Reach(everywhere=rules.decide_for_operator(principal=principal, permission=permission).allowed)
    return rules.reach(
        principal=principal,
        permission=permission,
        holdings=snapshot.holdings_of(principal),
        at=clock(),
        facts=Facts(),
    )


def visible_to(
    *, principal: Principal, permission: str, site_id: str, device_id: str | None, clock: Clock = utc_now
) -> Q:
    """The filter that lets through exactly the rows for which `check` would say yes.

    `site_id` and `device_id` are the lookups that lead to a row's place; see `sites.selectors.within`.
    """
    found = reach(principal=principal, permission=permission, clock=clock)
    return sites.within(found, site_id=site_id, device_id=device_id)


def place_of(resource: Any) -> Location | rules.Somewhere:
    """Where the thing is that a decision is about."""
    if resource is SOMEWHERE:
        return rules.SOMEWHERE
    location = getattr(resource, "location", None)
    return location if isinstance(location, Location) else rules.EVERYWHERE
