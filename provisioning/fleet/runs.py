"""A run's own row: begun, joined after a kill, paused, taken up again, ended."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import psycopg
from django.db import connection, transaction

from engine.clock import Clock, utc_now
from engine.errors import DomainError
from engine.tenancy.context import owner_schema
from provisioning import schemas
from provisioning.fleet.models import FleetRun, RunStatus
from provisioning.fleet.planning import Phase
from shared.organizations.models import GONE

ALL = "all"
"""The last wave. One before it that was cut short is begun again, with as many organizations."""

_BEGIN_LOCK = 0x6B735F666C7400
_OPEN = (RunStatus.RUNNING, RunStatus.PAUSED)
_BEHIND = """
    SELECT id, slug, schema_name, role_name, schema_fingerprint FROM public.organizations_organization AS one
    WHERE schema_fingerprint <> %s AND schema_fingerprint <> '' AND status <> ALL (%s)
    -- Those that failed before are no sample of the others.
    ORDER BY EXISTS (SELECT FROM public.provisioning_fleetstep WHERE organization_id = one.id AND state = 'failed'), id
"""


class RunPausedError(DomainError):
    code = "fleet_run_paused"
    status = 409
    title = "The run over the fleet is paused"


class NoRunError(DomainError):
    code = "fleet_run_missing"
    status = 409
    title = "There is no such run over the fleet"


class DatabaseLostError(DomainError):
    code = "database_lost"
    status = 503
    title = "The database went away and did not come back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """An organization that has not what this release has."""

    id: UUID
    slug: str
    schema: str
    role: str
    fingerprint: str


def behind(raw: psycopg.Connection[tuple[object, ...]]) -> list[Behind]:
    """The organizations that need work: one query, whatever their number."""
    rows = raw.execute(_BEHIND, [schemas.fingerprint(), [str(status) for status in GONE]]).fetchall()
    return [
        Behind(id=UUID(str(row[0])), slug=str(row[1]), schema=str(row[2]), role=str(row[3]), fingerprint=str(row[4]))
        for row in rows
    ]


def failures_max(text: str, *, organizations: int) -> int:
    """How many organizations may fail before a run stops: `3`, or `2%` of those that need work."""
    if text.endswith("%"):
        return max(1, math.ceil(organizations * float(text[:-1]) / 100))
    return max(1, int(text))


def begin(*, phase: Phase, canaries: Sequence[str], jobs: int, lock_timeout_ms: int, abort_after: str) -> FleetRun:
    """A new run, or the one that was killed. Raises RunPausedError when somebody paused it."""
    with owner_schema("public"), transaction.atomic(), connection.cursor() as cursor:
        # Two processes begin one run between them.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_BEGIN_LOCK])
        found = FleetRun.objects.filter(phase=phase, status__in=_OPEN).first()
        continues = found is not None and found.target == schemas.fingerprint()
        if found is not None and found.status == RunStatus.PAUSED and continues:
            raise RunPausedError("`keystead migrate --resume` goes on; `keystead fleet status` shows how far it is.")
        run = found or FleetRun(phase=phase)
        run.status, run.pause_requested, run.target = RunStatus.RUNNING, False, schemas.fingerprint()
        run.canaries, run.jobs, run.lock_timeout_ms = list(canaries), jobs, lock_timeout_ms
        run.failures_max = abort_after
        run.wave = run.wave if continues and run.wave == ALL else ""
        run.save()
        return run


def resume(*, phase: Phase) -> FleetRun:
    """The paused run, with the choices that it was begun with. Raises NoRunError."""
    with owner_schema("public"):
        found = FleetRun.objects.filter(phase=phase, status__in=_OPEN).first()
        if found is None:
            raise NoRunError("Begin one with `keystead migrate`.")
        found.status, found.pause_requested, found.target = RunStatus.RUNNING, False, schemas.fingerprint()
        found.save()
        return found


def request_pause() -> int:
    """Ask runs to begin no further organization. How many were asked."""
    with owner_schema("public"):
        return FleetRun.objects.filter(status=RunStatus.RUNNING).update(pause_requested=True)


def is_pause_requested(raw: psycopg.Connection[tuple[object, ...]], run: FleetRun) -> bool:
    try:
        row = raw.execute("SELECT pause_requested FROM public.provisioning_fleetrun WHERE id = %s", [run.id]).fetchone()
    except psycopg.OperationalError:
        # The workers find out for themselves, and wait for the server.
        return False
    return bool(row and row[0])


def progress(run: FleetRun, *, done: int, failed: int, organizations: int) -> None:
    """Keep how far the run is."""
    with owner_schema("public"):
        run.done, run.failed, run.organizations = done, failed, organizations
        run.save(update_fields=["done", "failed", "organizations", "wave", "updated_at"])


def end(run: FleetRun, status: RunStatus, *, done: int, failed: int, clock: Clock = utc_now) -> FleetRun:
    """Keep how a run ended, or that it rests."""
    with owner_schema("public"):
        run.status, run.done, run.failed, run.pause_requested = status, done, failed, False
        run.finished_at = None if status == RunStatus.PAUSED else clock()
        run.save()
    return run


@contextmanager
def alive(raw: psycopg.Connection[tuple[object, ...]], run: FleetRun) -> Iterator[None]:
    """While this holds, `is_alive` answers True. Several processes may work on one run."""
    raw.execute("SELECT pg_advisory_lock_shared(hashtextextended(%s, 0))", [f"fleet:{run.id}"])
    yield


def is_alive(run: FleetRun) -> bool:
    """Whether some process works on the run: a killed one gives the lock back by dying."""
    with schemas.owner_connection() as raw:
        row = raw.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"fleet:{run.id}"]).fetchone()
    return not (row and row[0])
