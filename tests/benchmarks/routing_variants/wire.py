"""How many messages one request sends to PostgreSQL, counted by libpq's own trace of the protocol.

python -m tests.benchmarks.routing_variants.wire     BENCH_VARIANT names the design
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.routing_variants import child

ROOT = Path(__file__).resolve().parents[3]


def messages_per_request(variant: str, url: str) -> int:
    """What a warm request sends; each is one round trip, as its answer is awaited."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.routing_variants.wire"],
        cwd=ROOT,
        env={**os.environ, "BENCH_DATABASE_URL": url, "BENCH_VARIANT": variant},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout.splitlines()[-1])


def main() -> None:
    variant = os.environ["BENCH_VARIANT"]
    application = child.load(variant)
    from django.db import connection

    for organization in (0, 1, 2):
        child.request(application, organization, variant)
    with tempfile.TemporaryFile("w+") as trace:
        connection.connection.pgconn.trace(trace.fileno())
        # Organization 2 was the last: the directory knows it, the connection knows its tables.
        child.request(application, 2, variant)
        connection.connection.pgconn.untrace()
        trace.seek(0)
        print(sum("\tF\t" in line for line in trace))


if __name__ == "__main__":
    main()
