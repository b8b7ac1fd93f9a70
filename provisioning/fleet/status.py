"""How far the fleet is, for people who look."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count

from engine.tenancy.context import public_schema
from provisioning import pool, schemas
from provisioning.fleet import applying, planning, runs
from provisioning.fleet.models import FleetRun, FleetStep, StepState
from provisioning.fleet.planning import Phase
from shared.organizations.models import Organization

_STEPS_MAX = 50


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far migrations are: organizations by release, the last run, and the steps that are not done."""

    generations: list[Generation]
    run: FleetRun | None
    is_alive: bool
    unfinished: list[FleetStep]


def figures() -> Fleet:
    """Count. Call it in `public_schema()`."""
    statuses = dict(Organization.objects.order_by("status").values_list("status").annotate(Count("id")))
    ready = sum(stock.count for stock in pool.stocks() if stock.is_current)
    return Fleet(current=schemas.fingerprint(), generations=_generations(), statuses=statuses, ready_schemas=ready)


def progress() -> Progress:
    """How far migrations are. Needs the owner's login, to see whether a runner lives."""
    with public_schema():
        run = FleetRun.objects.order_by("-id").first()
        unfinished = FleetStep.objects.exclude(state=StepState.DONE).select_related("organization").order_by("id")
        return Progress(
            generations=_generations(),
            run=run,
            is_alive=run is not None and runs.is_alive(run),
            unfinished=list(unfinished[:_STEPS_MAX]),
        )


def plan(*, phase: Phase) -> list[planning.Group]:
    """What a run would do, without doing it."""
    with schemas.owner_connection() as raw:
        current = schemas.fingerprint()
        unnoted = [one for one in applying.unnoted(raw) if one.fingerprint != current]
        counted: dict[str, tuple[int, str]] = {}
        found = [(one.fingerprint, one.schema) for one in runs.behind(raw)]
        for fingerprint, schema in (*found, *((one.fingerprint, one.schema) for one in unnoted)):
            count, first = counted.get(fingerprint, (0, schema))
            counted[fingerprint] = (count + 1, first)
    return planning.groups(((start, *rest) for start, rest in counted.items()), phase=phase)


def _generations() -> list[Generation]:
    current = schemas.fingerprint()
    rows = Organization.objects.order_by("schema_fingerprint").values_list("schema_fingerprint")
    return [
        Generation(fingerprint=fingerprint, is_current=fingerprint == current, organizations=count)
        for fingerprint, count in rows.annotate(Count("id"))
    ]
