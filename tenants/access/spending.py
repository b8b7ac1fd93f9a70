"""Amounts of a day: what a grant lets a principal take until midnight where it stands."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db import connection

from engine.clock import Clock, utc_now
from engine.principals import Principal
from tenants.access import rules, snapshot
from tenants.access.deciding import Facts, check, place_of
from tenants.access.models import Spending
from tenants.access.rules import Decision, HeldGrant, Reason

_TRIES = 3
_TAKE = """
INSERT INTO access_dailyspend (grant_id, principal_id, day, amount_minor)
VALUES (%(grant)s, %(principal)s, %(day)s, %(amount)s)
ON CONFLICT (grant_id, principal_id, day) DO UPDATE
SET amount_minor = access_dailyspend.amount_minor + excluded.amount_minor
WHERE access_dailyspend.amount_minor + excluded.amount_minor <= %(most)s
RETURNING id
"""
_GIVE_BACK = """
WITH given AS (DELETE FROM access_spending WHERE source = %(source)s RETURNING daily_id, amount_minor)
UPDATE access_dailyspend SET amount_minor = access_dailyspend.amount_minor - given.amount_minor
FROM given WHERE access_dailyspend.id = given.daily_id
"""


def spend(
    *,
    principal: Principal,
    permission: str,
    resource: Any,
    amount_minor: int,
    currency: str,
    source: str,
    clock: Clock = utc_now,
) -> Decision:
    """Decide as `check` does, and count the amount by the grant that allows it.

    In the transaction of the act, which `source` (a public id) names: what is rolled back is not spent, and
    two at once that fit only one by one are not both allowed. `give_back` undoes it.
    """
    now = clock()
    for _ in range(_TRIES):
        decision = check(
            principal=principal,
            permission=permission,
            resource=resource,
            amount_minor=amount_minor,
            currency=currency,
            clock=lambda: now,
        )
        if not decision.allowed:
            return decision
        grant = next((one for one in snapshot.holdings_of(principal) if one.id == decision.grant_id), None)
        if grant is None:
            continue  # taken away since the decision
        if grant.limits.amount_per_day_max_minor is None:
            return decision
        local = rules.local_times(Facts().zones(), where=place_of(resource), at=now)[0]
        if _take(grant, principal=principal, day=local.date(), amount_minor=amount_minor, source=source):
            return decision
    return Decision(False, Reason.DAILY_AMOUNT_ABOVE_LIMIT, missing=permission)


def give_back(*, source: str) -> None:
    """What was counted for `source` came to nothing. Doing it again changes nothing."""
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_BACK, {"source": source})


def _take(grant: HeldGrant, *, principal: Principal, day: date, amount_minor: int, source: str) -> bool:
    """Count it, unless somebody else has used up what was left."""
    parameters: dict[str, Any] = {
        "grant": grant.id,
        "principal": principal.id,
        "day": day,
        "amount": amount_minor,
        "most": grant.limits.amount_per_day_max_minor,
    }
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, parameters)
        row = cursor.fetchone()
    if row is None:
        return False
    Spending.objects.create(source=source, daily_id=row[0], amount_minor=amount_minor)
    return True
