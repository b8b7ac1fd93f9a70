"""One process that serves organizations in the order that it is told, and what its backends weigh then.

    python -m tests.benchmarks.growth_variants.child WHAT < numbers

WHAT is `all` (every table of each organization) or `one` (a request's worth). BENCH_VARIANT names the
design: `stock`, `ours` or `login`. Answers with one JSON line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from tests.benchmarks.routing_variants.child import configure

WEIGH_EVERY = 25
ONE = ("access_principal", "access_grant", "identity_person", "identity_template", "payments_payment")


def name_of(number: int) -> str:
    """What the schema and the role of an organization are called."""
    return f"ks_o_bench_{number}"


def entering(variant: str) -> Callable[[int], AbstractContextManager[Any]]:
    if variant == "stock":
        from django_tenants.utils import schema_context

        return lambda number: schema_context(name_of(number))
    from engine.tenancy.context import OrganizationContext, organization

    def enter(number: int) -> AbstractContextManager[Any]:
        return organization(
            OrganizationContext(
                id=UUID(int=number),
                slug=f"bench-{number}",
                schema_name=name_of(number),
                role_name=name_of(number),
                issuer=f"http://bench-{number}.test",
                environment="live",
                cell="default",
                time_zone="UTC",
                locale="en",
                currency="EUR",
                status="active",
            )
        )

    return enter


def touching(what: str, tables: list[str]) -> str:
    """A statement that opens every table and index that it is about."""
    chosen = tables if what == "all" else [name for name in tables if name in ONE]
    return " UNION ALL ".join(f'(SELECT 1 FROM "{name}" LIMIT 1)' for name in chosen)


class Scales:
    """The private memory of this process's backends, as the kernel counts it."""

    def __init__(self, admin_url: str, name: str) -> None:
        self._admin = psycopg.connect(admin_url, autocommit=True)
        self._name = name

    def weigh(self) -> list[int]:
        """KiB of each backend that is connected now."""
        rows = self._admin.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", [self._name])
        return [kib for (pid,) in rows.fetchall() if (kib := _private_kib(pid))]


def _private_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    # A backend that is just ending has no memory any more, and no such line.
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:")), 0)


def main() -> None:
    variant, what = os.environ["BENCH_VARIANT"], sys.argv[1]
    numbers = [int(line) for line in sys.stdin]
    name = f"growth-{os.getpid()}"
    os.environ["PGAPPNAME"] = name
    configure(variant, os.environ["BENCH_DATABASE_URL"])
    import django

    django.setup()
    from django.db import close_old_connections, connection

    statement, enter = touching(what, json.loads(os.environ["BENCH_TABLES"])), entering(variant)
    scales = Scales(os.environ["BENCH_ADMIN_URL"], name)
    pids: set[int] = set()
    largest, together, curve = 0, 0, []
    for turn, number in enumerate(numbers, start=1):
        close_old_connections()
        with enter(number), connection.cursor() as cursor:
            cursor.execute(statement)
            pids.add(connection.connection.info.backend_pid)
        if turn % WEIGH_EVERY == 0 or turn == len(numbers):
            weights = scales.weigh()
            largest, together = max(largest, *weights), max(together, sum(weights))
            curve.append([turn, sum(weights)])
        close_old_connections()
    print(
        json.dumps(
            {
                "largest_backend_kib": largest,
                "all_backends_kib": together,
                "backends": len(pids),
                "curve": curve,
            }
        )
    )


if __name__ == "__main__":
    main()
