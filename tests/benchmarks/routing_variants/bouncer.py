"""A PgBouncer in transaction mode in front of the benchmark's databases, and what came of it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.benchmarks.routing_variants.child import ORGANIZATIONS

ROOT = Path(__file__).resolve().parents[3]
# Fewer servers than clients, so that every server goes from hand to hand.
SERVERS = 5
PROCESSES = 2
THREADS = 4
REQUESTS = int(os.environ.get("POOLED_REQUESTS", "100000"))
CONTROL_REQUESTS = max(REQUESTS // 10, 1000)
BOOT_S = 15.0


def available() -> str | None:
    """The program, None where it is not installed."""
    return shutil.which("pgbouncer", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))


@dataclass(frozen=True, slots=True)
class Design:
    """Where one design's rows are. `url` is what it logs in with, `direct` a superuser's."""

    url: str
    direct: str
    schema: str


def wrong_rows(
    *, folder: Path, program: str, designs: Mapping[str, Design], progress: Callable[[str], None]
) -> dict[str, dict[str, int]]:
    """For each design: its requests and how many of them, and of the rows they left, were wrong."""
    outcome: dict[str, dict[str, int]] = {}
    with _running(program, folder, {name: design.url for name, design in designs.items()}) as pooled:
        for name, design in designs.items():
            requests = REQUESTS if name == "ours" else CONTROL_REQUESTS
            progress(f"PgBouncer: {requests} requests of {name}")
            counts = _requests(name, pooled[name], requests)
            if (outcomes := counts.total() - counts["cancels_sent"] - counts["paths_left"]) != requests:
                raise SystemExit(f"{requests} requests of {name} had {outcomes} outcomes")
            counts["misplaced_rows"] = _misplaced(design)
            outcome[name] = {"requests": requests, **counts}
            progress(f"PgBouncer: {name} {outcome[name]}")
    return outcome


def leaks(counts: Mapping[str, int]) -> bool:
    """Whether a request met another organization's row, or wrote one into its table."""
    return counts["wrong"] != 0 or counts["misplaced_rows"] != 0


def answered(counts: Mapping[str, int]) -> float:
    """Which part of the requests had an answer, and the right one."""
    return counts["right"] / counts["requests"]


def _requests(variant: str, url: str, requests: int) -> Counter[str]:
    command = [sys.executable, "-m", "tests.benchmarks.routing_variants.pooled", str(THREADS)]
    environment = {**os.environ, "BENCH_DATABASE_URL": url, "BENCH_VARIANT": variant}
    share = requests // PROCESSES
    children = [
        subprocess.Popen(
            [*command, str(share if number else requests - share * (PROCESSES - 1)), str(number)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    counts: Counter[str] = Counter({"wrong": 0})
    for process in children:
        said, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"the requests of {variant} ended with status {process.returncode}")
        for name, value in json.loads(said.splitlines()[-1]).items():
            if name not in ("seconds", "example"):
                counts[name] += value
    return counts


def _misplaced(design: Design) -> int:
    """How many rows lie in another organization's table than that which wrote them."""
    misplaced = 0
    with psycopg.connect(design.direct) as connection:
        for number in range(ORGANIZATIONS):
            row = connection.execute(
                f"SELECT count(*) FROM {design.schema.format(number)}.bench_item"
                " WHERE name LIKE 'o%%:%%' AND name NOT LIKE %s",
                [f"o{number}:%"],
            ).fetchone()
            misplaced += row[0] if row else 0
    return misplaced


@contextmanager
def _running(program: str, folder: Path, urls: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """A PgBouncer that logs in to each database as its URL says; the URLs through it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    databases = []
    for name, url in urls.items():
        parts = urlsplit(url)
        secret = f" password={parts.password}" if parts.password else ""
        databases.append(
            f"{name} = host={parts.hostname} port={parts.port} dbname={parts.path[1:]} user={parts.username}{secret}"
        )
    settings = [
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        # It listens on loopback for the length of the benchmark, and logs in by itself.
        "auth_type = any",
        "pool_mode = transaction",
        f"default_pool_size = {SERVERS}",
        "max_client_conn = 200",
        "log_connections = 0",
        "log_disconnections = 0",
    ]
    if os.getuid() == 0:
        settings.append("user = nobody")
        folder.chmod(0o755)
    file = folder / "pgbouncer.ini"
    file.touch(mode=0o600)
    file.write_text("\n".join(["[databases]", *databases, "[pgbouncer]", *settings, ""]))
    if os.getuid() == 0:
        shutil.chown(file, "nobody")
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen([program, str(file)], stdout=log, stderr=log)
    try:
        _wait(process, port, folder)
        yield {name: f"postgresql://anyone:x@127.0.0.1:{port}/{name}" for name in urls}
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + BOOT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"PgBouncer did not start:\n{(folder / 'pgbouncer.log').read_text()}") from None
            time.sleep(0.05)
