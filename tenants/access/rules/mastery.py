"""Nobody gives more than they hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from engine.principals import Principal
from tenants.access.permissions import PERMISSIONS
from tenants.access.rules.decisions import Facts, barrier, weigh
from tenants.access.rules.holdings import Holdings
from tenants.access.rules.limits import Circumstances, Limits
from tenants.access.rules.reasons import Reason
from tenants.sites.rules import Location


def lacking_to_hand_out(
    *,
    giver: Principal,
    permissions: Iterable[str],
    limits: Limits,
    where: Location,
    holdings: Holdings,
    circumstances: Circumstances,
    facts: Facts,
) -> frozenset[str]:
    """Which of `permissions` `giver` does not hold over `where`, now, within limits at least as wide.

    What only devices can use is handed out by whoever holds the permission that stands for it. A name that
    is not in the catalogue allows nothing, so anybody may give or take it.
    """
    lacking = set()
    for name in permissions:
        known = PERMISSIONS.get(name)
        if known is None:
            continue
        own = known.handed_out_with or name
        # Amounts bound what devices take, and nobody holds those permissions himself.
        given = replace(limits, amount_max_minor=None, amount_per_day_max_minor=None, currency="")
        asked = limits if own == name else given
        if barrier(principal=giver, permission=own) is not None:
            lacking.add(name)
            continue
        wide = [one for one in holdings.covering(own, where) if asked.lie_within(one.limits)]
        weighed = weigh(
            principal=giver,
            permission=own,
            grants=wide,
            where=where,
            circumstances=circumstances,
            facts=facts,
        )
        if all(set(failed) - {Reason.AMOUNT_UNKNOWN} for _, failed in weighed):
            lacking.add(name)
    return frozenset(lacking)
