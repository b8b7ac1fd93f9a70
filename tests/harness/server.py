"""The API as it is served: granian over a socket of this machine, on a database of the test's own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.harness import environment
from tests.harness.live import LiveDatabase

PATIENCE_S = 60.0


@contextmanager
def serving(database: LiveDatabase, *, log: Path, workers: int = 1) -> Iterator[int]:
    """The port of a server that believes our X-Forwarded-For. It is stopped at the end."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(port)]
    command += ["--workers", str(workers), "config.wsgi:application"]
    child = {**database.environment(), "KEYSTEAD_TRUSTED_PROXIES": "127.0.0.0/8"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=child, cwd=environment.ROOT / "src", stdout=output, stderr=output)
        try:
            _wait(port, process, log)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    request = f"GET /healthz HTTP/1.1\r\nHost: org-a.{environment.BASE_DOMAIN}\r\nConnection: close\r\n\r\n".encode()
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
                connection.sendall(request)
                if connection.recv(16):
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")
