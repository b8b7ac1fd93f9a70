"""The designs as processes: behind the server that the platform runs on, or called in process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.routing_variants.child import BASE, ORGANIZATIONS, check

ROOT = Path(__file__).resolve().parents[3]
CHILD = "tests.benchmarks.routing_variants.child"
# Two, so that the server's one thread always has the next request waiting.
CONNECTIONS = 2
BOOT_S = 30.0


def over_http(variant: str, url: str, *, warm_up: int, requests: int) -> float:
    """Requests per second of one granian thread that serves `variant`, started for this measurement.

    A process's layout alone moves a figure by some 5 %, so every round starts its own.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = ["granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--no-ws"]
    one = ["--workers", "1", "--blocking-threads", "1", "--no-log", "--http", "1", f"{CHILD}:application"]
    with _process(["-m", *server, *one], variant, url), _connections(port) as sockets:
        _drive(sockets, variant, warm_up)
        began = time.perf_counter()
        _drive(sockets, variant, requests)
        return requests / (time.perf_counter() - began)


def in_process(variant: str, url: str, *, warm_up: int, requests: int) -> float:
    """Requests per second of `variant` without a server: what it costs stands out more than users see."""
    with _process(["-m", CHILD], variant, url) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        seconds = 0.0
        for count in (warm_up, requests):
            process.stdin.write(f"{count}\n")
            process.stdin.flush()
            line = process.stdout.readline()
            while line.strip() == "ready":
                line = process.stdout.readline()
            seconds = float(line)
        return requests / seconds


@contextmanager
def _process(arguments: list[str], variant: str, url: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "BENCH_DATABASE_URL": url, "BENCH_VARIANT": variant},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _connections(port: int) -> Iterator[list[socket.socket]]:
    deadline = time.monotonic() + BOOT_S
    while True:
        try:
            first = socket.create_connection(("127.0.0.1", port))
            break
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    sockets = [first, *(socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS - 1))]
    try:
        yield sockets
    finally:
        for each in sockets:
            each.close()


def _drive(sockets: list[socket.socket], variant: str, requests: int) -> None:
    for number in range(requests + len(sockets)):
        connection = sockets[number % len(sockets)]
        if number >= len(sockets):
            check(variant, (number - len(sockets)) % ORGANIZATIONS, _answer(connection))
        if number < requests:
            host = f"o{number % ORGANIZATIONS}.{BASE}"
            connection.sendall(f"GET /items HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


def _answer(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _some(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"the server answered {head.decode('latin-1').splitlines()[0]}")
    length = next(
        int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += _some(connection)
    return body


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise SystemExit("the server closed the connection")
    return data
