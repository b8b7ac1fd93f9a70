"""Stock django-tenants' `migrate_schemas`, over all tenants or over the first few."""

from __future__ import annotations

import os
import time
from contextlib import redirect_stdout
from typing import Any

from tests.benchmarks.provisioning_variants import stock as provisioning
from tests.benchmarks.provisioning_variants.protocol import serve

provisioning.configure(
    os.environ["BENCH_DATABASE_URL"], GET_EXECUTOR_FUNCTION="tests.benchmarks.fleet_variants.sampling.executor"
)

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from tests.benchmarks.fleet_variants import sampling  # noqa: E402
from tests.benchmarks.fleet_variants.columns import TABLE, Columns  # noqa: E402

COLUMNS = Columns()


def migrate(tenants: int | None) -> float:
    """Seconds of the command: the shared tables, and so many tenants (None: all)."""
    sampling.tenants_max = tenants
    connection.close()
    # As it is typed: what it says goes nowhere, as standard output is where this process answers.
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        began = time.perf_counter()
        call_command("migrate_schemas", interactive=False)
        return time.perf_counter() - began


def having(column: str) -> int:
    """How many tenants have it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM information_schema.columns WHERE table_name = %s AND column_name = %s",
            [TABLE, column],
        )
        return int(cursor.fetchone()[0])


if __name__ == "__main__":
    commands: dict[str, Any] = {
        "prepare": provisioning.prepare,
        "grow": provisioning.grow,
        "count": provisioning.count,
        "plant": COLUMNS.plant,
        "migrate": migrate,
        "having": having,
    }
    serve(commands)
