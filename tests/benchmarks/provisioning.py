"""What a new organization costs: claimed from the pool, made cold, and made by stock django-tenants.

    stock   Client.save() with `auto_create_schema` and its domain: django-tenants replays the migrations
    cold    our request with an empty pool, and the step that makes role, schema and privileges
    claim   one statement, the organization's row, its domain's, and the commit, from a filled pool

`make bench NAME=provisioning`. Stock migrates the same tenant apps (58 tables, 62 migrations when this
was written) through its own backend, without roles and privileges, which it does not have.

Two PostgreSQL servers take turns: one began empty (and has some dozens of organizations at the end),
one began with ORGANIZATIONS. Ours were made by our cold path there; stock's were cloned from its own first
one, as making them would have taken an hour: for what is measured here only their catalog entries count.
At last the whole platform runs, from an operator's POST to the first 200 of the new host.
"""

from __future__ import annotations

import difflib
import os
import secrets
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from devkit.embedded import embedded
from devkit.stack import Stack
from engine.tenancy import roles
from tests.benchmarks.interleaved import Ratio, median_ratio, report, rounds, spread
from tests.benchmarks.provisioning_variants import live
from tests.benchmarks.provisioning_variants.protocol import Child

ROUNDS = int(os.environ.get("ROUNDS", "9"))
ORGANIZATIONS = int(os.environ.get("ORGANIZATIONS", "1000"))
CLAIMS = 7
GROWTH_BATCH = 50
LIVE_ROUNDS = min(ROUNDS, 9)
Milliseconds = Callable[[], float]


class Site:
    """One server with both designs on it, beside some number of organizations that were there before."""

    def __init__(self, folder: Path, stack: ExitStack, *, variants: str = "provisioning_variants") -> None:
        servers = stack.enter_context(embedded(folder))
        self._admin = servers.postgres_url
        owner, app = (self._login(name) for name in (roles.OWNER, roles.APP))
        roles.bootstrap(admin_url=self._admin, owner_url=owner, app_url=app)
        with psycopg.connect(self._admin, autocommit=True) as admin:
            # The same collation as ours.
            admin.execute(
                "CREATE DATABASE stock TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin"
                " BUILTIN_LOCALE 'C.UTF-8'"
            )
        environment = {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "KEYSTEAD_ENVIRONMENT": "development",
            "KEYSTEAD_BASE_URL": "http://bench.test",
            "KEYSTEAD_OWNER_DATABASE_URL": owner,
            "KEYSTEAD_DATABASE_URL": app,
            "KEYSTEAD_REDIS_URL": servers.redis_url,
            "KEYSTEAD_SECRET_KEY": secrets.token_urlsafe(32),
            "KEYSTEAD_KMS_URL": "file:///nonexistent",
            "KEYSTEAD_MATCHER_URL": "http://127.0.0.1:1",
            "KEYSTEAD_BLOB_URL": "file:///nonexistent",
            "KEYSTEAD_READY_SCHEMAS": "0",
            "BENCH_FOLDER": str(folder),
        }
        self.ours = Child(f"{variants}.ours", **environment)
        stack.callback(self.ours.stop)
        self.stock = Child(f"{variants}.stock", **environment, BENCH_DATABASE_URL=self._database("stock"))
        stack.callback(self.stock.stop)

    def prepare(self) -> dict[str, Any]:
        """Make the shared tables, and one organization of each kind before anything is measured."""
        self.stock.begin("prepare")
        self.ours.ask("prepare")
        size: dict[str, Any] = self.stock.finish()
        for warm in (self.cold, self.claim, self.request, self.create):
            warm()
        return size

    def grow(self, organizations: int) -> None:
        """Bring both designs to that many organizations, side by side."""
        left = {child: organizations - child.ask("count") for child in (self.ours, self.stock)}
        while any(count > 0 for count in left.values()):
            batch = {child: min(count, GROWTH_BATCH) for child, count in left.items() if count > 0}
            for child, count in batch.items():
                child.begin("grow", count)
            for child in batch:
                left[child] -= child.finish()
            _say(f"  {organizations - max(left.values())}/{organizations} organizations")

    def create(self) -> float:
        return 1000 * float(self.stock.ask("create"))

    def cold(self) -> float:
        return 1000 * float(self.ours.ask("cold"))

    def claim(self) -> float:
        return 1000 * statistics.median(self.ours.ask("claim", CLAIMS))

    def request(self) -> float:
        return 1000 * statistics.median(self.ours.ask("request", CLAIMS))

    def differing_lines(self) -> int:
        """How many lines differ between the dumps of a migrated schema and of those that were made here."""
        from tests.harness.structure import structure

        dumps = {
            origin: structure(database_url=self._database("ours"), schema=schema, role=role).splitlines()
            for origin, (schema, role) in self.ours.ask("schemas_to_compare").items()
        }
        if len(dumps["migrated"]) < 1000:
            raise SystemExit("the migrated schema is not what it should be")
        return sum(
            line[0] in "+-" and not line.startswith(("+++", "---"))
            for origin in ("cold", "claimed")
            for line in difflib.unified_diff(dumps["migrated"], dumps[origin], lineterm="")
            if line
        )

    def _login(self, user: str) -> str:
        parts = urlsplit(self._admin)
        return f"postgresql://{user}:{secrets.token_hex(16)}@{parts.hostname}:{parts.port}/ours"

    def _database(self, name: str) -> str:
        return urlsplit(self._admin)._replace(path=f"/{name}").geturl()


def first_200(folder: Path) -> dict[str, float]:
    """Milliseconds from the POST to the first 200, from the pool and cold, on a platform of its own."""
    taken: dict[str, list[float]] = {"pool": [], "cold": []}
    with Stack(folder, processes=live.PROCESSES, settings={"KEYSTEAD_READY_SCHEMAS": "0"}).up() as stack:
        platform = live.Platform(stack)
        platform.sign_in()
        platform.seconds_to_first_200()
        for _ in range(LIVE_ROUNDS):
            taken["cold"].append(platform.seconds_to_first_200())
            platform.fill(1)
            taken["pool"].append(platform.seconds_to_first_200())
    return {way: round(1000 * statistics.median(seconds), 1) for way, seconds in taken.items()}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        _say("starting two PostgreSQL servers")
        empty, full = (Site(Path(folder, name), stack) for name in ("empty", "full"))
        for site in (empty, full):
            _say("making the platforms' tables and the first organizations")
            size = site.prepare()
        full.grow(ORGANIZATIONS)
        variants: dict[str, Milliseconds] = {
            "stock_at_0": empty.create,
            "cold_at_0": empty.cold,
            "claim_at_0": empty.claim,
            "stock_at_n": full.create,
            "cold_at_n": full.cold,
            "claim_at_n": full.claim,
            "request_at_n": full.request,
            "stock_at_0_again": empty.create,
        }
        results = rounds(variants, count=ROUNDS, progress=_say)
        counts = {"at_0_in_the_end": empty.ours.ask("count"), "at_n_in_the_end": full.ours.ask("count")}
        _say("comparing schemas")
        differing = empty.differing_lines()
    _say("starting the whole platform")
    with tempfile.TemporaryDirectory() as folder:
        to_first_200 = first_200(Path(folder))
    report(
        name="provisioning",
        figures={
            **{f"{name}_ms": round(statistics.median(values), 2) for name, values in results.items()},
            "post_to_first_200_ms": to_first_200,
            "structure_lines_that_differ": differing,
            "organizations": {"n": ORGANIZATIONS, **counts},
            "stock": size,
            "rounds": ROUNDS,
            "stock_against_stock": spread(results["stock_at_0"], results["stock_at_0_again"]),
        },
        ratios=[
            _times("claim_at_0", results, floor=700, target=1000),
            _times("claim_at_n", results, floor=700, target=1000),
            _times("cold_at_0", results, floor=7, target=10),
            _times("cold_at_n", results, floor=13, target=18),
            # At most 1.25 times as long beside n organizations as beside none (target 1.1).
            Ratio("cold_at_0_of_cold_at_n", median_ratio(results["cold_at_0"], results["cold_at_n"]), 0.8, 0.909),
            Ratio("structure_equals_a_migrated_one", float(differing == 0), floor=1, target=1),
        ],
    )


def _times(name: str, results: dict[str, list[float]], *, floor: float, target: float) -> Ratio:
    """How many times faster than stock beside as many organizations."""
    stock = results[f"stock_at_{name[-1]}"]
    return Ratio(f"{name}_times_faster_than_stock", median_ratio(stock, results[name]), floor, target)


if __name__ == "__main__":
    main()
