"""kill -9 of the migrator over many organizations that people are at work in: `make chaos NAME=fleet`.

Four migrations that the product does not have (columns on two tables, a backfill, a concurrent index, another
column) go over the fleet with `keystead migrate`, which is killed again and again while requests run and
transactions stay open on the tables. After every death, and at the end, each organization's fingerprint,
recorder, ledger and structure are compared. SEED=n repeats the choices of a run; ORGANIZATIONS=n and KILLS=n
change its size.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.chaos.report import Report, seed
from tests.harness import environment
from tests.harness.live import LiveDatabase

JITTER_S = 0.06
PATIENCE_S = 900.0
COLUMN, BACKFILL, INDEX, LAST = "0090_pre_colour", "0091_pre_paint", "0092_pre_index", "0093_pre_shade"
_COLUMNS = """
migrations.AddField("site", "colour", models.TextField(null=True)),
migrations.RunSQL('ALTER TABLE "identity_person" ADD COLUMN planted text'),
"""
_BACKFILL = """
migrations.RunPython(
    lambda apps, editor: apps.get_model("sites", "Site").objects.filter(colour=None).update(colour="blue")
),
"""
_INDEX = 'AddIndexConcurrently("site", models.Index(fields=["name"], name="planted_name")),'
_LAST = 'migrations.AddField("site", "shade", models.TextField(db_default="dark")),'
_STATE = """
    SELECT one.schema_fingerprint,
        ARRAY(SELECT app || '/' || name FROM {schema}.django_migrations),
        ARRAY(SELECT migration FROM public.provisioning_fleetstep WHERE organization_id = one.id AND state = 'done'),
        ARRAY(SELECT attname::text FROM pg_catalog.pg_attribute WHERE NOT attisdropped AND (
            (attrelid = '{schema}.sites_site'::regclass AND attname IN ('colour', 'shade'))
            OR (attrelid = '{schema}.identity_person'::regclass AND attname = 'planted'))),
        (SELECT indisvalid FROM pg_catalog.pg_index JOIN pg_catalog.pg_class ON oid = indexrelid
            WHERE indrelid = '{schema}.sites_site'::regclass AND relname = 'planted_name'),
        (SELECT count(*) FROM {schema}.sites_site AS site
            WHERE site.name LIKE 'seed-%%' AND to_jsonb(site) ->> 'colour' IS NULL)
    FROM public.organizations_organization AS one WHERE one.schema_name = %s
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it."""

    organizations: int
    kills: int
    hold_s: float
    """How long a transaction stays open on a table that is to be altered."""
    people: int = 3
    jobs: int = 4


@dataclass(slots=True)
class Found:
    """What was wrong with organizations, by kind."""

    half: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Fleet:
    """The organizations, and the migrator's processes."""

    database: LiveDatabase
    owner: psycopg.Connection[Any]
    schemas: list[str]
    child: dict[str, str]
    jobs: int
    folder: Path
    kills: int = 0

    def start(self) -> subprocess.Popen[bytes]:
        """`keystead migrate`, as a person would start it."""
        with (self.folder / "migrate.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "config.cli", "migrate", f"--jobs={self.jobs}"],
                cwd=environment.ROOT,
                env={**os.environ, **self.child},
                stdout=log,
                stderr=log,
            )

    def steps_done(self) -> int:
        row = self.owner.execute(
            "SELECT count(*) FROM public.provisioning_fleetstep WHERE state = 'done' AND migration >= %s", [COLUMN]
        ).fetchone()
        return int(row[0]) if row else 0

    def kill_after(self, steps: int, *, pause_s: float) -> bool:
        """Start a migrator and kill it when so many steps are done in all. False when it ended before."""
        process = self.start()
        least = max(steps, self.steps_done() + 1)
        while process.poll() is None:
            if self.steps_done() >= least:
                time.sleep(pause_s)
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        killed = process.wait() == -signal.SIGKILL
        self.kills += killed
        return killed

    def log(self) -> str:
        return (self.folder / "migrate.log").read_text()[-2000:]


def run(*, size: Size, number: int, database: LiveDatabase, folder: Path, say: bool = True) -> Report:
    """One run over a committed database."""
    from tests.chaos.fleet_load import Load

    report = Report(name="fleet", seed=number)
    chance = random.Random(number)
    tell = _say if say else _silent
    tell(f"seed {number}")
    with fleet_of(size, database, folder, tell) as (fleet, contexts):

        def behind() -> list[str]:
            with psycopg.connect(database.owner_url, autocommit=True) as owner:
                rows = owner.execute(
                    "SELECT schema_name FROM public.organizations_organization WHERE schema_fingerprint <> %s",
                    [_target()],
                ).fetchall()
            return [str(row[0]) for row in rows]

        load = Load(contexts=contexts, behind=behind, owner_url=database.owner_url, hold_s=size.hold_s, number=number)
        found = Found()
        with load.at_work(people=size.people):
            status = _under_fire(fleet, size, chance, found, tell)
        compare(fleet.owner, fleet.schemas, found)
        _judge(report, fleet, size, found, load, status, left=len(behind()))
    return report


def _under_fire(fleet: Fleet, size: Size, chance: random.Random, found: Found, tell: Callable[[str], None]) -> int:
    """Kill, look, start again; at the end let it go through. Its last exit status."""
    total = 4 * len(fleet.schemas)
    for turn in range(size.kills):
        steps = int(total * (turn + chance.random()) / (size.kills + 1))
        killed = fleet.kill_after(steps, pause_s=chance.uniform(0, JITTER_S))
        tell(f"kill {turn + 1} of {size.kills} at {fleet.steps_done()} of {total} steps")
        compare(fleet.owner, fleet.schemas, found)
        if not killed:
            break
    return fleet.start().wait(timeout=PATIENCE_S)


def _judge(report: Report, fleet: Fleet, size: Size, found: Found, load: Any, status: int, *, left: int) -> None:
    from tests.chaos.fleet_load import BLOCKED_MS_MAX

    report.promise(f"killed {size.kills} times", fleet.kills == size.kills, figure=fleet.kills)
    report.promise(
        "the same command goes on to the end",
        status == 0 and left == 0,
        figure={"status": status, "left": left, **({"said": fleet.log()} if status else {})},
    )
    report.promise("no organization is half migrated", not found.half, figure=found.half[:5])
    report.promise("no organization is in an unknown state", not found.unknown, figure=found.unknown[:5])
    invalid = invalid_indexes(fleet.owner)
    report.promise("no index is invalid at the end", not invalid, figure=invalid[:5])
    report.promise(
        "no request failed", load.requests > 0 and not load.failures, figure=dict(load.failures) or load.requests
    )
    report.promise(
        f"no request was blocked for longer than {BLOCKED_MS_MAX} ms",
        load.longest_block_ms <= BLOCKED_MS_MAX,
        figure=round(load.longest_block_ms),
    )
    report.promise(
        "migrations met open transactions, and requests behind them", load.blocks_seen > 0, figure=load.blocks_seen
    )
    report.counts |= {
        "organizations": len(fleet.schemas),
        "requests": load.requests,
        "open_transactions": load.holds,
        "open_for_s": size.hold_s,
        "longest_request_ms": round(load.longest_request_ms),
        "steps": fleet.steps_done(),
    }


def compare(owner: psycopg.Connection[Any], names: list[str], found: Found) -> None:
    """Compare what each organization says of itself, in one statement, with what it consists of."""
    from provisioning import schemas

    for schema in names:
        row = owner.execute(_STATE.format(schema=schema).encode(), [schema]).fetchone()
        if row is None:
            found.unknown.append(f"{schema} is gone")
            continue
        fingerprint, recorded, done, columns, index_valid, unpainted = row
        keys = {(app, name) for app, _, name in (text.partition("/") for text in recorded)}
        if fingerprint != schemas.fingerprint_of(keys):
            found.unknown.append(f"{schema}: its fingerprint is not that of its recorder")
        ours = {name for app, name in keys if app == "sites" and name >= COLUMN}
        if ours != set(done):
            found.unknown.append(f"{schema}: the ledger says {sorted(done)}, the recorder {sorted(ours)}")
        expected = {"colour", "planted"} if COLUMN in ours else set()
        expected |= {"shade"} if LAST in ours else set()
        if set(columns) != expected:
            found.half.append(f"{schema}: columns {sorted(columns)} with {sorted(ours)}")
        # These two are not in a transaction: what they did may be there before it is recorded, never the reverse.
        if BACKFILL in ours and unpainted:
            found.half.append(f"{schema}: {unpainted} rows without what the backfill gives")
        if INDEX in ours and not index_valid:
            found.half.append(f"{schema}: no valid index, and recorded")


def invalid_indexes(owner: psycopg.Connection[Any]) -> list[str]:
    rows = owner.execute("SELECT indexrelid::regclass::text FROM pg_catalog.pg_index WHERE NOT indisvalid").fetchall()
    return [str(row[0]) for row in rows]


def _target() -> str:
    from provisioning import schemas

    return schemas.fingerprint()


@contextmanager
def fleet_of(
    size: Size, database: LiveDatabase, folder: Path, tell: Callable[[str], None]
) -> Iterator[tuple[Fleet, list[Any]]]:
    """The organizations with something in them, and a release with migrations that they lack."""
    from engine.tenancy.context import public_schema
    from shared.organizations.models import Organization
    from tests.chaos.fleet_load import seed_sites
    from tests.harness.planted import Planted
    from tests.provisioning.fleet.conftest import grow

    tell(f"making {size.organizations} organizations")
    with database.as_owner():
        grow(size.organizations)
    with public_schema():
        contexts = [row.context() for row in Organization.objects.all()]
    planted = Planted(folder)
    with planted.installed(), psycopg.connect(database.owner_url, autocommit=True) as owner:
        for context in contexts:
            seed_sites(owner, context.schema_name)
        planted.add(COLUMN, _COLUMNS)
        planted.add(BACKFILL, _BACKFILL, atomic=False)
        planted.add(INDEX, _INDEX, atomic=False)
        planted.add(LAST, _LAST)
        child = {
            **{key: value for key, value in database.environment(owner=True).items() if key.startswith("KEYSTEAD_")},
            **planted.settings_module(),
        }
        yield Fleet(database, owner, [one.schema_name for one in contexts], child, size.jobs, folder), contexts


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _silent(_: str) -> None:
    """For the run inside the test suite."""


def main() -> None:
    environment.set_up()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from tests.harness.live import live_database

    size = Size(
        organizations=int(os.environ.get("ORGANIZATIONS", "200")),
        kills=int(os.environ.get("KILLS", "20")),
        hold_s=5.0,
    )
    with tempfile.TemporaryDirectory(prefix="keystead-chaos-") as folder, live_database() as database:
        report = run(size=size, number=seed(), database=database, folder=Path(folder))
    report.end()


if __name__ == "__main__":
    main()
