"""The provider sandbox as a real process, for every suite that needs a provider."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parents[3]


def free_port() -> int:
    """A port of loopback that nobody holds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class SandboxProcess:
    """A running sandbox: its URL, its control endpoints, and the power to kill and restart it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx2.Client(base_url=self.url, timeout=10, trust_env=False)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers."""
        environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
        arguments = ["-m", "devkit.sandbox", "--port", str(self.port), "--state", str(self.state)]
        self._process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if self.http.get("/_control/health").status_code == 200:
                    return
            except httpx2.TransportError:
                time.sleep(0.05)
        raise AssertionError("the sandbox did not start")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the process and wait for it."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=10)
            self._process = None

    def new_key(self) -> str:
        """The secret key of an account that nobody has used before."""
        return "sk_test_" + secrets.token_hex(12)

    def behave(self, key: str, *faults: dict[str, Any]) -> None:
        """Replace the behaviours of an account."""
        answer = self.http.put(f"/_control/accounts/{key}/faults", json={"faults": list(faults)})
        assert answer.status_code == 200, answer.text

    def set(self, **settings: float) -> None:
        """Change settings of the whole sandbox."""
        answer = self.http.put("/_control/settings", json=settings)
        assert answer.status_code == 200, answer.text

    def effects(self, *keys: str) -> list[dict[str, Any]]:
        """What really moved in these accounts, in order."""
        rows = self.http.get("/_control/effects").json()["data"]
        return [row for row in rows if row["key"] in keys]

    def charges(self, *keys: str) -> list[dict[str, Any]]:
        """The charges that took money in these accounts."""
        return [row for row in self.effects(*keys) if row["kind"] == "charge"]


@contextmanager
def running_sandbox(state: Path) -> Iterator[SandboxProcess]:
    """A sandbox that ends with the block."""
    process = SandboxProcess(state)
    process.start()
    try:
        yield process
    finally:
        process.stop()
        process.http.close()
