"""A matcher as a process of its own, over a database of the tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from engine import service_tokens
from engine.matcher_client import MatcherClient
from tests.harness import environment


@dataclass(frozen=True, slots=True)
class RunningMatcher:
    """A matcher that answers at `url`; `log` holds what it wrote."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def client(self) -> MatcherClient:
        """A client that may call it, as our own processes do."""
        return MatcherClient(self.url, private_key=service_tokens.load_private_key(environment.SERVICE_KEY))


@contextmanager
def running_matcher(*, log: Path, **settings: str) -> Iterator[RunningMatcher]:
    """Start a matcher on a free port and stop it at the end. `settings` are KEYSTEAD_* values: `database_url`, .."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    child = {
        **{name: value for name, value in os.environ.items() if not name.startswith("KEYSTEAD_")},
        "PYTHONPATH": os.pathsep.join((str(environment.ROOT), str(environment.ROOT / "src"))),
        "KEYSTEAD_KMS_URL": environment.BIOMETRIC_KMS_URL,
        "KEYSTEAD_MATCHER_SERVICE_PUBLIC_KEY_FILE": str(environment.SERVICE_PUBLIC_KEY),
        "KEYSTEAD_MATCHER_PORT": str(port),
        "KEYSTEAD_ISOLATION": environment.ISOLATION,
        "KEYSTEAD_LOGIN_SECRET": environment.LOGIN_SECRET,
        **{f"KEYSTEAD_{name.upper()}": value for name, value in settings.items()},
    }
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "matcher"], env=child, stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process, log)
        yield RunningMatcher(url, process, log)
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urlopen(f"{url}/healthz", timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError(f"the matcher did not start:\n{log.read_text()}")
