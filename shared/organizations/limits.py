"""What an organization's plan allows: requests per minute, people, devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Literal
from uuid import UUID

from django.db import connection

from engine.api.throttles import Rate
from engine.errors import DomainError
from engine.tenancy.context import NoOrganization, current_organization, public_schema
from shared.organizations.models import Organization

Countable = Literal["people", "devices"]

# A plan that was changed takes effect within this time.
_FRESH_S = 30.0
_ENTRIES_MAX = 20_000
# More than can be added at the same instant: further away from the limit nobody waits for anybody.
_CLOSE = 1_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one organization's plan."""

    requests_per_minute: int
    people: int
    devices: int


class PlanLimitReached(DomainError):
    """The plan allows no more of these; `limit` says of what, and `maximum` how many."""

    code = "plan_limit_reached"
    status = 409
    title = "The plan's limit is reached"


_cache: dict[UUID, tuple[float, Limits | None]] = {}
_lock = Lock()


def request_rate() -> Rate | None:
    """The rate of the organization whose context this is; None on the platform's host."""
    try:
        limits = of_plan()
    except NoOrganization:
        return None
    return Rate(limit=limits.requests_per_minute, seconds=60, name="organization") if limits else None


def of_plan() -> Limits | None:
    """What the plan of the organization whose context this is allows, at most 30 s ago. None: no such organization.

    Inside a transaction, which belongs to one context, only what is known from before can be answered:
    ask before it begins. Every request asks, in its throttle.
    """
    organization_id = current_organization().id
    now = monotonic()
    with _lock:
        known = _cache.get(organization_id)
    if known is not None and (now - known[0] < _FRESH_S or _in_transaction()):
        return known[1]
    with public_schema():
        found = (
            Organization.objects.filter(id=organization_id)
            .values_list("plan__requests_per_minute_max", "plan__people_max", "plan__devices_max")
            .first()
        )
    limits = Limits(*found) if found else None
    with _lock:
        if len(_cache) >= _ENTRIES_MAX:
            _cache.clear()
        _cache[organization_id] = (now, limits)
    return limits


def hold(what: Countable, *, count: Callable[[], int]) -> None:
    """Refuse one more of `what` than the plan allows, also when several are added at the same instant.

    Call in the transaction that adds it, with a function that counts those that there are. Raises
    PlanLimitReached.
    """
    limits = of_plan()
    if limits is None:
        return
    maximum = limits.people if what == "people" else limits.devices
    found = count()
    if maximum - _CLOSE < found < maximum:
        # Who comes next counts when this transaction has ended, and sees what it added.
        key = f"plan:{what}:{current_organization().id}"
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
        found = count()
    if found >= maximum:
        raise PlanLimitReached(
            f"The plan allows {maximum} {what}. Ask for a larger plan, or remove some.", limit=what, maximum=maximum
        )


def _in_transaction() -> bool:
    # The test suite's own outer transaction is not a caller's.
    return len(connection.atomic_blocks) > getattr(connection, "test_atomic_blocks", 0)
