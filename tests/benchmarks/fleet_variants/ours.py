"""What `keystead migrate` does in its process: the platform's tables, then a run over the organizations."""

from __future__ import annotations

import time
from typing import Any

import django

django.setup()

from django.db import connection  # noqa: E402

from engine.tenancy.context import owner_schema  # noqa: E402
from provisioning.fleet import platform, runs  # noqa: E402
from provisioning.fleet.planning import Phase  # noqa: E402
from provisioning.fleet.running import Runner  # noqa: E402
from tests.benchmarks.fleet_variants.columns import TABLE, Columns  # noqa: E402
from tests.benchmarks.provisioning_variants import ours as provisioning  # noqa: E402
from tests.benchmarks.provisioning_variants.protocol import serve  # noqa: E402
from tests.harness.planted import forget  # noqa: E402

# The command's defaults.
CHOICES: dict[str, Any] = {"canaries": [], "jobs": 4, "lock_timeout_ms": 50, "abort_after": "1"}
COLUMNS = Columns()


def no_op() -> float:
    """Seconds until it is known that nothing is to be done."""
    return _migrate(changed=0)


def column() -> float:
    """Seconds until every organization has a column more."""
    name, organizations = COLUMNS.plant(), provisioning.count()
    seconds = _migrate(changed=organizations)
    with owner_schema("public"), connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM information_schema.columns WHERE table_name = %s AND column_name = %s", [TABLE, name]
        )
        assert cursor.fetchall() == [(organizations,)], "some have no new column"
    return seconds


def _migrate(*, changed: int) -> float:
    # As in a new process: nothing is known of the migrations' files, no connection is open.
    forget()
    connection.close()
    began = time.perf_counter()
    platform.migrate(phase=Phase.ALL, lock_timeout_ms=CHOICES["lock_timeout_ms"])
    done = Runner(run=runs.begin(phase=Phase.ALL, **CHOICES), tell=lambda event: None).go()
    seconds = time.perf_counter() - began
    assert (done.status, done.done) == ("succeeded", changed), f"{done.status}: {done.done} of {changed}"
    return seconds


if __name__ == "__main__":
    commands: dict[str, Any] = {
        "prepare": provisioning.prepare,
        "grow": provisioning.grow,
        "count": provisioning.count,
        "no_op": no_op,
        "column": column,
    }
    serve(commands)
