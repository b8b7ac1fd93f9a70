"""What routing and the role wall cost: one endpoint, four designs, one PostgreSQL.

    plain   Django with its own backend, one schema, no tenants
    stock   django-tenants: a domain query per request, `SET search_path` per cursor
    ours    the host from the directory, role and path with each query, 20 organizations
    login   ours with KEYSTEAD_ISOLATION=login: 20 organizations on 24 connections, each logged in as itself.
            Its best case: every organization keeps a connection, and nobody logs in while it is measured

`make bench NAME=routing`. Throughput of one thread of granian, which the platform runs on; every
answer is checked to be the right organization's. The same without a server is printed beside it, and
how many messages a request sends. Where PgBouncer is installed, mixed requests go through it in
transaction mode, and every answer and every row that was left is checked again.
"""

from __future__ import annotations

import os
import secrets
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from devkit.embedded import embedded
from engine.tenancy import roles
from tests.benchmarks.interleaved import Ratio, median_ratio, report, rounds, spread
from tests.benchmarks.routing_variants import bouncer, serving
from tests.benchmarks.routing_variants.child import BASE, LOGIN_CONNECTIONS, LOGIN_SECRET, ORGANIZATIONS
from tests.benchmarks.routing_variants.wire import messages_per_request

ROUNDS = int(os.environ.get("ROUNDS", "11"))
REQUESTS = int(os.environ.get("REQUESTS", "2000"))
WARM_UP = 400
ROOT = Path(__file__).resolve().parents[2]
TABLE = "(id bigint PRIMARY KEY, name varchar(80) NOT NULL, amount_minor integer NOT NULL)"
FILL = (
    "INSERT INTO {table} SELECT n, CASE n WHEN 1 THEN '{owner}' ELSE 'item ' || n END, n * 100"
    " FROM generate_series(1, 200) n"
)


def make_plain(admin: str) -> str:
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("CREATE DATABASE plain")
    url = _database(admin, "plain")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE bench_item {TABLE}")
        connection.execute(FILL.format(table="bench_item", owner="plain"))
        connection.execute("ANALYZE")
    return url


def make_stock(admin: str) -> str:
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("CREATE DATABASE stock")
    url = _database(admin, "stock")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE stock_client (id bigint PRIMARY KEY, schema_name varchar(63) UNIQUE, name varchar(100))"
        )
        connection.execute(
            "CREATE TABLE stock_domain (id bigint PRIMARY KEY, domain varchar(253) UNIQUE, is_primary bool,"
            " tenant_id bigint REFERENCES stock_client)"
        )
        for number in range(ORGANIZATIONS):
            schema = f"o{number}"
            connection.execute("INSERT INTO stock_client VALUES (%s, %s, %s)", [number, schema, schema])
            connection.execute(
                "INSERT INTO stock_domain VALUES (%s, %s, true, %s)", [number, f"{schema}.{BASE}", number]
            )
            connection.execute(f"CREATE SCHEMA {schema}")
            connection.execute(f"CREATE TABLE {schema}.bench_item {TABLE}")
            connection.execute(FILL.format(table=f"{schema}.bench_item", owner=schema))
        connection.execute("ANALYZE")
    return url


def make_ours(admin: str) -> str:
    """The real organizations' tables from their migrations; roles and grants as provisioning makes them."""
    secret = secrets.token_hex(16)
    parts = urlsplit(admin)
    owner, app = (
        f"postgresql://{user}:{secret}@{parts.hostname}:{parts.port}/ours" for user in (roles.OWNER, roles.APP)
    )
    roles.bootstrap(admin_url=admin, owner_url=owner, app_url=app)
    subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.routing_variants.prepare"],
        cwd=ROOT,
        env={**os.environ, "BENCH_DATABASE_URL": owner},
        check=True,
    )
    with psycopg.connect(owner, autocommit=True) as connection:
        for number in range(ORGANIZATIONS):
            schema = role = f"ks_o_bench_{number}"
            roles.create_organization_role(connection, role=role)
            roles.create_organization_schema(connection, schema=schema, role=role)
            connection.execute(f"CREATE TABLE {schema}.bench_item {TABLE}")
            connection.execute(FILL.format(table=f"{schema}.bench_item", owner=f"o{number}"))
            connection.execute(f"GRANT UPDATE ON {schema}.bench_item TO {role}")
        roles.give_logins(connection, secret=LOGIN_SECRET)
    with psycopg.connect(_database(admin, "ours"), autocommit=True) as connection:
        connection.execute("ANALYZE")
    return app


def _variants(measure: Callable[..., float], urls: dict[str, str]) -> dict[str, Callable[[], float]]:
    measured: dict[str, Callable[[], float]] = {
        name: partial(measure, name, url, warm_up=WARM_UP, requests=REQUESTS) for name, url in urls.items()
    }
    return {**measured, "stock again": measured["stock"]}


def _through_pgbouncer(admin: str, urls: dict[str, str], folder: Path) -> dict[str, dict[str, int]]:
    """What `bouncer` found, nothing where PgBouncer is not installed."""
    program = bouncer.available()
    if program is None:
        _say("PgBouncer is not installed: its part did not run (Debian: apt-get install pgbouncer)")
        return {}
    return bouncer.wrong_rows(
        folder=folder,
        program=program,
        designs={
            "stock": bouncer.Design(urls["stock"], direct=urls["stock"], schema="o{}"),
            "ours": bouncer.Design(urls["ours"], direct=_database(admin, "ours"), schema="ks_o_bench_{}"),
        },
        progress=_say,
    )


def _pgbouncer_ratios(pooled: dict[str, dict[str, int]]) -> list[Ratio]:
    """Ours shows no wrong row, and the control shows that the requests would have found some."""
    if not pooled:
        return []
    return [
        Ratio("pgbouncer_ours_without_wrong_rows", float(not bouncer.leaks(pooled["ours"])), floor=1, target=1),
        # Not because everything failed: only a cancelled statement may.
        Ratio("pgbouncer_ours_answered", bouncer.answered(pooled["ours"]), floor=0.9, target=0.95),
        Ratio("pgbouncer_stock_leaks", float(bouncer.leaks(pooled["stock"])), floor=1, target=1),
    ]


def _database(admin: str, name: str) -> str:
    return urlsplit(admin)._replace(path=f"/{name}").geturl()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    _say("starting PostgreSQL")
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder)) as servers:
        admin = servers.postgres_url
        urls = {"plain": make_plain(admin), "stock": make_stock(admin), "ours": make_ours(admin)}
        urls["login"] = urls["ours"]
        served = rounds(_variants(serving.over_http, urls), count=ROUNDS, progress=_say)
        _say("without a server")
        called = rounds(_variants(serving.in_process, urls), count=ROUNDS, progress=_say)
        messages = {name: messages_per_request(name, urls[name]) for name in ("plain", "stock", "ours")}
        pooled = _through_pgbouncer(admin, urls, Path(folder))
    results = served
    medians = {f"{name}_requests_per_s": round(statistics.median(values)) for name, values in results.items()}
    report(
        name="routing",
        figures={
            **medians,
            "rounds": ROUNDS,
            "requests_per_round": REQUESTS,
            "organizations": ORGANIZATIONS,
            "login_connections": LOGIN_CONNECTIONS,
            "stock_against_stock": spread(results["stock"], results["stock again"]),
            "stock_of_plain": round(median_ratio(results["stock"], results["plain"]), 3),
            "login_of_ours": round(median_ratio(results["login"], results["ours"]), 3),
            "login_of_plain": round(median_ratio(results["login"], results["plain"]), 3),
            "messages_per_request": messages,
            "pgbouncer": pooled or "not installed: did not run",
            "in_process_ours_of_plain": round(median_ratio(called["ours"], called["plain"]), 3),
            "in_process_login_of_ours": round(median_ratio(called["login"], called["ours"]), 3),
            "in_process_stock_of_plain": round(median_ratio(called["stock"], called["plain"]), 3),
            "in_process_stock_against_stock": spread(called["stock"], called["stock again"]),
        },
        ratios=[
            Ratio("ours_of_plain", median_ratio(results["ours"], results["plain"]), floor=0.93, target=0.97),
            Ratio("ours_of_stock", median_ratio(results["ours"], results["stock"]), floor=1.45, target=1.6),
            # Role and path travel with the query: not one message more than Django alone sends.
            Ratio("messages_plain_of_ours", messages["plain"] / messages["ours"], floor=1, target=1),
            *_pgbouncer_ratios(pooled),
        ],
    )


if __name__ == "__main__":
    main()
