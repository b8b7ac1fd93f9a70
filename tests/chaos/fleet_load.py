"""People at work in organizations that are being migrated: requests, open transactions, and who waits for whom."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from django.db import connection, transaction

from engine.clock import utc_now
from engine.ids import uuid7
from engine.tenancy.context import OrganizationContext, organization
from tenants.identity.models import Person
from tenants.sites.models import Site

BLOCKED_MS_MAX = 250
_PACE_S = 0.005
_SAMPLE_S = 0.01
_WAITING = """
    SELECT coalesce(max(1000 * extract(epoch FROM clock_timestamp() - lock.waitstart)), 0)
    FROM pg_catalog.pg_locks AS lock JOIN pg_catalog.pg_stat_activity AS activity USING (pid)
    WHERE NOT lock.granted AND activity.datname = current_database() AND activity.usename = 'ks_app'
"""


@dataclass(slots=True, kw_only=True)
class Load:
    """What threads do until `over`, and what became of it. They log in as ks_app, behind the wall.

    Whoever waits for a lock for longer than BLOCKED_MS_MAX is refused by PostgreSQL, and so a failed request:
    however busy the machine is, none is overlooked. The sampler only adds the figure.
    """

    contexts: Sequence[OrganizationContext]
    behind: Callable[[], list[str]]
    """Schemas that are not migrated yet."""
    owner_url: str
    hold_s: float
    number: int
    over: threading.Event = field(default_factory=threading.Event)
    held: OrganizationContext | None = None
    holds: int = 0
    requests: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    longest_request_ms: float = 0
    longest_block_ms: float = 0
    blocks_seen: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def at_work(self, *, people: int) -> Iterator[None]:
        """Work while this holds."""
        calls: list[Callable[[random.Random], None]] = [self._person] * people + [self._holder, self._sampler]
        threads = [
            threading.Thread(target=self._run, args=(call, random.Random(self.number + turn)))
            for turn, call in enumerate(calls)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over.set()
            for thread in threads:
                thread.join()

    def _run(self, call: Callable[[random.Random], None], chance: random.Random) -> None:
        options = {**connection.settings_dict["OPTIONS"], "options": f"-c lock_timeout={BLOCKED_MS_MAX}"}
        connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}
        try:
            call(chance)
        except Exception as error:  # a thread that died would be a load that is not there
            with self._lock:
                self.failures[f"{call.__name__}: {_named(error)}"] += 1
        finally:
            connection.close()

    def _person(self, chance: random.Random) -> None:
        while not self.over.wait(_PACE_S):
            # Every other request goes where a transaction is open, and a migration perhaps waiting.
            context = self.held if self.held and chance.random() < 0.5 else chance.choice(self.contexts)
            began = time.monotonic()
            error: Exception | None = None
            try:
                with organization(context):
                    chance.choice((_read, _read_people, _change, _add))(chance)
            except Exception as raised:  # whatever it is, a person would have seen an error
                error = raised
            with self._lock:
                self.requests += 1
                self.longest_request_ms = max(self.longest_request_ms, 1000 * (time.monotonic() - began))
                if error:
                    self.failures[_named(error)] += 1

    def _holder(self, chance: random.Random) -> None:
        """One transaction after the other stays open on a table that a migration still has to alter."""
        by_schema = {one.schema_name: one for one in self.contexts}
        last = ""
        while not self.over.is_set():
            behind = self.behind()
            others = [schema for schema in behind if schema != last and schema in by_schema]
            if not others:
                # The last one must get its turn.
                last = ""
                self.over.wait(self.hold_s)
                continue
            last = chance.choice(others)
            context = by_schema[last]
            with organization(context), transaction.atomic():
                chance.choice((_read, _read_people, _add))(chance)
                self.held = context
                self.holds += 1
                self.over.wait(self.hold_s)
            self.held = None

    def _sampler(self, _: random.Random) -> None:
        with psycopg.connect(self.owner_url, autocommit=True) as owner:
            while not self.over.wait(_SAMPLE_S):
                row = owner.execute(_WAITING).fetchone()
                waited_ms = float(row[0]) if row else 0.0
                self.blocks_seen += waited_ms > 0
                self.longest_block_ms = max(self.longest_block_ms, waited_ms)


def _read(_: random.Random) -> None:
    list(Site.objects.order_by("id")[:20])


def _read_people(_: random.Random) -> None:
    list(Person.objects.order_by("id")[:20])


def _change(chance: random.Random) -> None:
    first = Site.objects.filter(name=f"seed-{chance.randrange(SEEDS)}").first()
    if first is None:
        raise AssertionError("a seeded site is gone")
    Site.objects.filter(id=first.id).update(updated_at=utc_now())


def _add(_: random.Random) -> None:
    identifier = uuid7()
    Site.objects.create(id=identifier, name=str(identifier), path=f"/{identifier}", updated_at=utc_now())


SEEDS = 5
"""Sites that every organization has before its migrations, by the names that `_change` looks for."""


def seed_sites(owner: psycopg.Connection[tuple[object, ...]], schema: str) -> None:
    owner.execute(
        f"INSERT INTO {schema}.sites_site (id, created_at, name, time_zone, path, updated_at)"
        " SELECT gen_random_uuid(), now(), 'seed-' || n, 'UTC', '/seed-' || n, now()"
        f" FROM generate_series(0, {SEEDS - 1}) AS n"
    )


def _named(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error
    return f"{type(cause).__name__} {getattr(cause, 'sqlstate', None) or ''}".strip()
