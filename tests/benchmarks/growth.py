"""What a thousand organizations weigh: in the backends that serve them, and in the catalog.

`make bench NAME=growth`. Makes ORGANIZATIONS schemas from the baked script, then

    growth     one process touches every table of every organization, one after the other: stock
               django-tenants keeps its connection, ours replaces it after 200 organizations, and
               login mode keeps 24 connections that serve one organization each
    affinity   four processes share out requests of organizations of which few are asked for often:
               in turns, or by host as an ingress does that hashes it
    catalog    relations and bytes per organization

A PostgreSQL backend keeps what it has read of the catalog until it ends, so memory is counted by the
kernel: the backends' private pages. What a request takes is not reported: each design runs once, one after the other.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit
from zlib import crc32

import psycopg

from devkit.embedded import embedded
from engine.tenancy import roles
from tests.benchmarks.growth_variants.child import name_of
from tests.benchmarks.interleaved import Ratio, report
from tests.benchmarks.routing_variants.child import LOGIN_SECRET

ORGANIZATIONS = int(os.environ.get("ORGANIZATIONS", "1000"))
REQUESTS = int(os.environ.get("REQUESTS", str(4 * ORGANIZATIONS)))
# As DATABASE_ORGANIZATIONS_PER_CONNECTION in the variants' settings.
RECYCLED_AFTER = 200
PROCESSES = 4
MAKERS = 2
ROOT = Path(__file__).resolve().parents[2]
Measured = dict[str, object]


class Site:
    """A server with that many organizations."""

    def __init__(self, admin: str) -> None:
        parts, secret = urlsplit(admin), secrets.token_hex(16)
        self.owner, app = (
            f"postgresql://{user}:{secret}@{parts.hostname}:{parts.port}/growth" for user in (roles.OWNER, roles.APP)
        )
        roles.bootstrap(admin_url=admin, owner_url=self.owner, app_url=app)
        self.admin = parts._replace(path="/growth").geturl()
        self.urls = {"stock": self.admin, "ours": app, "login": app}
        self.bytes_before = self._bytes()
        self.tables: list[str] = []

    def grow(self) -> float:
        """Make the organizations, several at a time; milliseconds for each."""
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "KEYSTEAD_ENVIRONMENT": "development",
            "KEYSTEAD_BASE_URL": "http://bench.test",
            "KEYSTEAD_OWNER_DATABASE_URL": self.owner,
            "KEYSTEAD_REDIS_URL": "redis://127.0.0.1:1/0",
            "KEYSTEAD_SECRET_KEY": secrets.token_urlsafe(32),
            "KEYSTEAD_KMS_URL": "file:///nonexistent",
            "KEYSTEAD_MATCHER_URL": "http://127.0.0.1:1",
            "KEYSTEAD_BLOB_URL": "file:///nonexistent",
            "KEYSTEAD_ISOLATION": "login",
            "KEYSTEAD_LOGIN_SECRET": LOGIN_SECRET,
        }
        began, bounds = time.perf_counter(), [ORGANIZATIONS * part // MAKERS for part in range(MAKERS + 1)]
        makers = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.growth_variants.make", str(first), str(last)],
                cwd=ROOT,
                env=environment,
            )
            for first, last in pairwise(bounds)
        ]
        statuses = [maker.wait() for maker in makers]
        if any(statuses):
            raise SystemExit("the organizations could not be made")
        taken = time.perf_counter() - began
        with psycopg.connect(self.owner) as owner:
            roles.give_logins(owner, secret=LOGIN_SECRET)
            rows = owner.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'p')"
                " AND NOT relispartition AND relname <> 'django_migrations' ORDER BY 1",
                [name_of(0)],
            ).fetchall()
        self.tables = [name for (name,) in rows]
        return 1000 * taken / ORGANIZATIONS

    def serve(self, variant: str, numbers: list[int], *, what: str) -> Measured:
        """What a process of `variant` needed for these requests."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.growth_variants.child", what],
            input="\n".join(map(str, numbers)),
            cwd=ROOT,
            env={
                **os.environ,
                "BENCH_VARIANT": variant,
                "BENCH_DATABASE_URL": self.urls[variant],
                "BENCH_ADMIN_URL": self.admin,
                "BENCH_TABLES": json.dumps(self.tables),
            },
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        measured: Measured = json.loads(done.stdout.splitlines()[-1])
        return measured

    def catalog(self) -> Measured:
        """What one organization adds to the database, before it has a row of its own."""
        with psycopg.connect(self.admin) as admin:
            kinds = admin.execute(
                "SELECT CASE c.relkind WHEN 'r' THEN 'tables' WHEN 'i' THEN 'indexes' WHEN 'S' THEN 'sequences'"
                " ELSE 'other' END, count(*) FROM pg_class c WHERE relnamespace = %s::regnamespace GROUP BY 1",
                [name_of(0)],
            ).fetchall()
            toast = admin.execute(
                "SELECT 2 * count(*), (SELECT sum(pg_relation_size(c.oid)) FROM pg_class c"
                " WHERE relnamespace = %(schema)s::regnamespace)::bigint FROM pg_class"
                " WHERE relnamespace = %(schema)s::regnamespace AND reltoastrelid <> 0",
                {"schema": name_of(0)},
            ).fetchone()
            redundant = admin.execute(_REDUNDANT, [name_of(0)]).fetchall()
        relations = dict(kinds)
        relations["toast_tables_and_their_indexes"], own_bytes = toast or (0, 0)
        grown = (self._bytes() - self.bytes_before) // ORGANIZATIONS
        return {
            "relations": {"all": sum(relations.values()), **relations},
            "bytes": grown,
            "bytes_of_its_own_relations": own_bytes,
            "bytes_in_the_catalog": grown - own_bytes,
            "indexes_whose_columns_begin_another_index": [name for (name,) in redundant],
        }

    def _bytes(self) -> int:
        with psycopg.connect(self.admin) as admin:
            row = admin.execute("SELECT pg_database_size(current_database())").fetchone()
        return int(row[0]) if row else 0


# Candidates to drop: a plain index that another one of the same table serves as well.
_REDUNDANT = """
    SELECT a.indexrelid::regclass::text FROM pg_index a
    JOIN pg_class t ON t.oid = a.indrelid
    WHERE t.relnamespace = %s::regnamespace AND NOT a.indisunique AND a.indpred IS NULL AND a.indexprs IS NULL
      AND EXISTS (SELECT 1 FROM pg_index b WHERE b.indrelid = a.indrelid AND b.indexrelid <> a.indexrelid
                  AND b.indpred IS NULL AND b.indexprs IS NULL
                  AND b.indkey::text || ' ' LIKE a.indkey::text || ' %%')
    ORDER BY 1
"""


def shared_out(numbers: list[int], way: str) -> list[list[int]]:
    """Which process gets which requests."""
    shares: list[list[int]] = [[] for _ in range(PROCESSES)]
    for turn, number in enumerate(numbers):
        shares[turn % PROCESSES if way == "in_turns" else crc32(name_of(number).encode()) % PROCESSES].append(number)
    return shares


def popular() -> list[int]:
    """Requests of which few organizations make most: the n-th most popular makes 1/n as many as the first."""
    chance = random.Random(3)
    return chance.choices(range(ORGANIZATIONS), weights=[1 / (n + 1) for n in range(ORGANIZATIONS)], k=REQUESTS)


def affinity(site: Site) -> dict[str, Measured]:
    """The same requests to four processes in both ways, in both modes."""
    requests = popular()
    found: dict[str, Measured] = {}
    for variant in ("ours", "login"):
        for way in ("in_turns", "by_host"):
            shares = [site.serve(variant, share, what="one") for share in shared_out(requests, way)]
            found[f"{variant}_{way}"] = {
                "connections_made": sum(share["backends"] for share in shares),  # type: ignore[misc]
                # One process after the other, so nobody has measured them together.
                "mib_of_each_process": [round(int(str(share["all_backends_kib"])) / 1024, 1) for share in shares],
            }
            _say(f"{variant} {way}: {found[f'{variant}_{way}']}")
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder)) as servers:
        site = Site(servers.postgres_url)
        _say(f"making {ORGANIZATIONS} organizations")
        made_ms = site.grow()
        grown: dict[str, Measured] = {}
        for variant in ("stock", "ours", "login"):
            _say(f"{variant}: every table of every organization")
            grown[variant] = site.serve(variant, list(range(ORGANIZATIONS)), what="all")
            _say(f"{variant}: {grown[variant]}")
        shared = affinity(site)
        catalog = site.catalog()
    stock, ours = (int(str(grown[variant]["largest_backend_kib"])) for variant in ("stock", "ours"))
    at_limit = next(kib for turn, kib in grown["stock"]["curve"] if turn >= min(RECYCLED_AFTER, ORGANIZATIONS))  # type: ignore[attr-defined]
    report(
        name="growth",
        figures={
            "organizations": ORGANIZATIONS,
            "tables_per_organization": len(site.tables),
            "made_ms_per_organization": round(made_ms, 1),
            "growth": {
                variant: {name: value for name, value in measured.items() if name != "curve"}
                for variant, measured in grown.items()
            },
            "stock_kib_by_organizations": grown["stock"]["curve"],
            "affinity": shared,
            "catalog_per_organization": catalog,
        },
        ratios=[
            # A backend of ours weighs no more than stock's after as many organizations as we let it serve.
            Ratio("stock_after_200_of_our_largest", at_limit / ours, floor=0.8, target=0.95),
            Ratio("stock_of_our_largest", stock / ours, floor=2.5 if ORGANIZATIONS >= 1000 else 0.8, target=4.0),
        ],
    )


if __name__ == "__main__":
    main()
