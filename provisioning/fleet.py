"""The whole fleet in a few figures."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count

from provisioning import pool, schemas
from shared.organizations.models import Organization


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The organizations whose schemas have the same migrations."""

    fingerprint: str
    """Empty for those that have no schema yet."""
    is_current: bool
    organizations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What there is, in three queries however much there is."""

    current: str
    generations: list[Generation]
    statuses: dict[str, int]
    ready_schemas: int


def status() -> Fleet:
    """Count. Call it in `public_schema()`."""
    current = schemas.fingerprint()
    rows = Organization.objects.order_by("schema_fingerprint")
    generations = [
        Generation(fingerprint=fingerprint, is_current=fingerprint == current, organizations=count)
        for fingerprint, count in rows.values_list("schema_fingerprint").annotate(Count("id"))
    ]
    statuses = dict(rows.order_by("status").values_list("status").annotate(Count("id")))
    ready = sum(stock.count for stock in pool.stocks() if stock.is_current)
    return Fleet(current=current, generations=generations, statuses=statuses, ready_schemas=ready)
