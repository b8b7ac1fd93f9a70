"""A run over the fleet: canaries, then one in a hundred, then all, by several workers.

The truth is on the organizations: whoever has another fingerprint than the release's needs work. So a run
that was killed needs no repair; the next one asks the same question and goes on. The run's own row holds
what a person wants to know or change meanwhile.
"""

from __future__ import annotations

import heapq
import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
from django.db import Error as DjangoError
from django.db import connection

from engine.clock import Clock, utc_now
from provisioning import schemas
from provisioning.fleet import applying, runs
from provisioning.fleet.applying import Applier, Busy, Failed, Gone, Moved, Target
from provisioning.fleet.models import FleetRun, RunStatus
from provisioning.fleet.planning import Hop, LaterReleaseError, Phase, PhaseOrderError, Planner

_ONE_IN = 100
_BACKOFF_MIN_SECONDS = 0.05
_BACKOFF_MAX_SECONDS = 1.0
# About three minutes of back-off: somebody holds the table for good.
_ATTEMPTS_MAX = 200
_GONE_SECONDS_MAX = 60.0
_LOOK_SECONDS = 0.25
# A backend keeps catalog entries of every schema that it has touched.
_ORGANIZATIONS_PER_CONNECTION = 200


@dataclass(frozen=True, slots=True)
class Event:
    """Something to show: `wave`, `done`, `failed` or `waiting`."""

    kind: str
    slug: str = ""
    text: str = ""
    total: int = 0


Listener = Callable[[Event], None]
_Connection = psycopg.Connection[tuple[object, ...]]


@dataclass(slots=True)
class _Job:
    target: Target
    fingerprint: str
    attempts: int = 0


@dataclass(slots=True)
class _Wave:
    """Organizations that are worked on together, and what became of them."""

    waiting: list[tuple[float, int, _Job]]
    failures_max: int
    condition: threading.Condition = field(default_factory=threading.Condition)
    open: int = 0
    done: int = 0
    failed: int = 0
    stop: str = ""
    """Why no further organization is begun: empty, `paused`, `stopped` or `gone`."""
    error: BaseException | None = None
    serial: int = 0

    def take(self) -> _Job | None:
        """The next job that is due; None when there is nothing left, or no more is to be begun."""
        with self.condition:
            while not self.stop:
                now = time.monotonic()
                if self.waiting and self.waiting[0][0] <= now:
                    self.open += 1
                    return heapq.heappop(self.waiting)[2]
                if not self.waiting and not self.open:
                    return None
                self.condition.wait(self.waiting[0][0] - now if self.waiting else _LOOK_SECONDS)
            return None

    def put_back(self, job: _Job, *, seconds: float) -> None:
        with self.condition:
            self.open -= 1
            self.serial += 1
            heapq.heappush(self.waiting, (time.monotonic() + seconds, self.serial, job))
            self.condition.notify_all()

    def finish(self, *, failed: bool) -> None:
        with self.condition:
            self.open -= 1
            self.failed += failed
            self.done += not failed
            self.condition.notify_all()

    def halt(self, why: str) -> None:
        with self.condition:
            self.stop = self.stop or why
            self.condition.notify_all()


@dataclass(slots=True, kw_only=True)
class Runner:
    """One process's part in a run. Several may work on one run: an organization is locked while it is worked on."""

    run: FleetRun
    tell: Listener
    clock: Clock = utc_now
    rng: random.Random = field(default_factory=random.Random)
    _planner: Planner = field(init=False)
    _failed_ids: set[UUID] = field(init=False, default_factory=set)
    _done: int = field(init=False, default=0)
    _total: int = field(init=False, default=0)
    _one_percent_done: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._planner = Planner(phase=Phase(self.run.phase))

    def go(self) -> FleetRun:
        """Work until nothing is left, or until something says stop. Raises DatabaseLostError."""
        while True:
            # Whatever the server did meanwhile: a wave begins with connections that are new.
            connection.close()
            with _waited_for(schemas.owner_connection) as raw, runs.alive(raw, self.run):
                applying.adopt(raw)
                jobs = [job for job in self._needing_work(raw) if job.target.id not in self._failed_ids]
                if not jobs:
                    return self._end(RunStatus.FAILED if self._failed_ids else RunStatus.SUCCEEDED)
                name, jobs = self._next_wave(jobs)
                self.tell(Event("wave", text=name, total=len(jobs)))
                why = self._work(name, jobs, raw)
                if why:
                    return self._end(RunStatus(why))

    def _end(self, status: RunStatus) -> FleetRun:
        connection.close()
        return runs.end(self.run, status, done=self._done, failed=len(self._failed_ids), clock=self.clock)

    def _needing_work(self, raw: _Connection) -> list[_Job]:
        return [
            _Job(Target(id=row.id, slug=row.slug, schema=row.schema, role=row.role), row.fingerprint)
            for row in runs.behind(raw)
            if self._lacks_something(row)
        ]

    def _lacks_something(self, row: runs.Behind) -> bool:
        try:
            return self._planner.hop(start=row.fingerprint, schema=row.schema, role=row.role) is not None
        except LaterReleaseError:
            return False

    def _next_wave(self, jobs: list[_Job]) -> tuple[str, list[_Job]]:
        if not self._total:
            self._total = len(jobs)
        canaries = [job for job in jobs if job.target.slug in self.run.canaries]
        if canaries:
            return "canaries", canaries
        if self.run.wave != runs.ALL and not self._one_percent_done:
            self._one_percent_done = True
            return "1 %", jobs[: math.ceil(len(jobs) / _ONE_IN)]
        return runs.ALL, jobs

    def _work(self, name: str, jobs: list[_Job], raw: _Connection) -> str:
        """Work on one wave. Empty when it is through, else why it stopped."""
        self.run.wave = name
        runs.progress(self.run, done=self._done, failed=len(self._failed_ids), organizations=self._total)
        most = runs.failures_max(self.run.failures_max, organizations=self._total)
        # The first waves are small: when all of one fails, it is the migration.
        if name != runs.ALL:
            most = min(most, len(jobs))
        wave = _Wave([(0.0, n, job) for n, job in enumerate(jobs)], failures_max=most, serial=len(jobs))
        before = self._done
        threads = [
            threading.Thread(target=self._worker, args=(wave,), name=f"migrate-{number}", daemon=True)
            for number in range(min(self.run.jobs, len(jobs)))
        ]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                for thread in threads:
                    thread.join(_LOOK_SECONDS / len(threads))
                self._done = before + wave.done
                if runs.is_pause_requested(raw, self.run):
                    wave.halt(RunStatus.PAUSED)
        except KeyboardInterrupt:
            wave.halt(RunStatus.PAUSED)
            for thread in threads:
                thread.join()
        self._done = before + wave.done
        if isinstance(wave.error, psycopg.OperationalError):
            raise runs.DatabaseLostError(
                "Every organization is as it was before or after its migrations; `keystead migrate` goes on from there."
            ) from wave.error
        if wave.error:
            raise wave.error
        return wave.stop

    def _worker(self, wave: _Wave) -> None:
        hands = _Hands(self.run, self.clock)
        try:
            while (job := wave.take()) is not None:
                self._attempt(wave, job, hands)
        except BaseException as error:  # noqa: BLE001  # raised again where the run is awaited
            wave.error = error
            wave.halt("broken")
        finally:
            hands.close()
            connection.close()

    def _attempt(self, wave: _Wave, job: _Job, hands: _Hands) -> None:
        target = job.target
        hop: Hop | None = None
        job.attempts += 1
        try:
            applier = hands.applier()
            while hop := self._hop(job):
                applier.apply(hop, target, attempts=job.attempts)
                job.fingerprint, job.attempts = hop.end, 1
        except Moved:
            job.fingerprint = hands.fingerprint(target)
            wave.put_back(job, seconds=0)
        except Busy as busy:
            if job.attempts >= _ATTEMPTS_MAX:
                self._fail(wave, job, hop, Failed(None, "its tables were locked all the time (55P03)"), hands)
                return
            self.tell(Event("waiting", slug=target.slug, text=str(busy)))
            wave.put_back(job, seconds=self._backoff(job.attempts))
        except (Gone, psycopg.OperationalError):
            hands.reconnect()
            job.attempts -= 1
            wave.put_back(job, seconds=self._backoff(1))
        except Failed as failure:
            self._fail(wave, job, hop, failure, hands)
        except (LaterReleaseError, PhaseOrderError) as refusal:
            self._give_up(wave, job, f"{refusal.title}. {refusal.detail}")
        else:
            wave.finish(failed=False)
            self.tell(Event("done", slug=target.slug))

    def _hop(self, job: _Job) -> Hop | None:
        try:
            return self._planner.hop(start=job.fingerprint, schema=job.target.schema, role=job.target.role)
        except DjangoError as error:
            raise applying.classified(error) from error

    def _fail(self, wave: _Wave, job: _Job, hop: Hop | None, failure: Failed, hands: _Hands) -> None:
        if hop:
            hands.applier().note_failure(hop, job.target, failure, attempts=job.attempts)
        at = ".".join(failure.key) if failure.key else "its migrations"
        self._give_up(wave, job, f"{at}: {failure.reason}")

    def _give_up(self, wave: _Wave, job: _Job, text: str) -> None:
        with wave.condition:
            self._failed_ids.add(job.target.id)
        wave.finish(failed=True)
        self.tell(Event("failed", slug=job.target.slug, text=text))
        if wave.failed >= wave.failures_max or len(self._failed_ids) >= runs.failures_max(
            self.run.failures_max, organizations=self._total
        ):
            wave.halt(RunStatus.STOPPED)

    def _backoff(self, attempts: int) -> float:
        most = min(_BACKOFF_MAX_SECONDS, _BACKOFF_MIN_SECONDS * 2 ** min(attempts, 10))
        return self.rng.uniform(_BACKOFF_MIN_SECONDS, most)


def _waited_for(
    connect: Callable[[], psycopg.Connection[tuple[object, ...]]],
) -> psycopg.Connection[tuple[object, ...]]:
    """A connection to a server that may be starting again. Raises DatabaseLostError when it stays away."""
    until = time.monotonic() + _GONE_SECONDS_MAX
    while True:
        try:
            return connect()
        except psycopg.OperationalError as error:
            if time.monotonic() > until:
                raise runs.DatabaseLostError("Run `keystead migrate` again when it is back.") from error
            time.sleep(_LOOK_SECONDS)


class _Hands:
    """The connection of one worker: opened when it is needed, renewed when it has seen many schemas."""

    def __init__(self, run: FleetRun, clock: Clock) -> None:
        self._run, self._clock = run, clock
        self._applier: Applier | None = None
        self._uses = 0

    def applier(self) -> Applier:
        self._uses += 1
        if self._applier is None or self._applier.raw.closed or self._uses > _ORGANIZATIONS_PER_CONNECTION:
            self.close()
            self._applier = Applier(
                raw=schemas.owner_connection(), lock_timeout_ms=self._run.lock_timeout_ms, clock=self._clock
            )
            self._uses = 1
        return self._applier

    def reconnect(self) -> None:
        """Wait for a server that went away. Raises OperationalError when it stays away."""
        self.close()
        connection.close()
        _waited_for(lambda: self.applier().raw)

    def fingerprint(self, target: Target) -> str:
        row = (
            self.applier()
            .raw.execute("SELECT schema_fingerprint FROM public.organizations_organization WHERE id = %s", [target.id])
            .fetchone()
        )
        return str(row[0]) if row else ""

    def close(self) -> None:
        if self._applier is not None:
            self._applier.raw.close()
        self._applier = None
