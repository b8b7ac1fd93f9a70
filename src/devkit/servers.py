"""What embedded servers have in common: a folder, a port, a password, a readiness, an orderly end."""

from __future__ import annotations

import importlib.util
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from devkit import children
from devkit.children import Child, ChildFailed
from devkit.errors import CannotRun
from devkit.locks import Claim

HOST = "127.0.0.1"
START_SECONDS = 60.0
PORT_ATTEMPTS = 5


class EmbeddedFailed(CannotRun):
    """An embedded server could not be started; the message says what to do."""


@dataclass
class Server:
    """One embedded server: it can be killed and started again on the same port, with the same data."""

    name: str
    port: int
    password: str = field(repr=False)
    child: Child = field(repr=False)
    _claim: Claim = field(repr=False)
    _start: Callable[[int], Child] = field(repr=False)

    def kill(self) -> None:
        """SIGKILL the server and its children, as a power cut would; `start` brings it back."""
        self.child.kill()

    def start(self) -> None:
        """Start it again after `kill`, on the same port. Does nothing while it runs."""
        if not self.child.alive:
            self.child = self._start(self.port)

    def restart(self) -> None:
        """Shut it down, unless it is down already, and start it again on the same port."""
        self.child.stop()
        self.start()

    def stop(self) -> None:
        """Shut it down in an orderly way and give its folder back."""
        try:
            self.child.stop()
        finally:
            self._claim.release()


def server_env() -> dict[str, str]:
    # Nothing of ours reaches the server: no PG* variables, no locale, no secrets.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def start_on_free_port(start: Callable[[int], Child], *, remembered: Path, log: Path) -> tuple[int, Child]:
    """Start on the port of last time when it is still free, else on another; remember it."""
    port = _remembered_port(remembered)
    for attempt in range(PORT_ATTEMPTS):
        begin = log.stat().st_size if log.exists() else 0
        if port is None or not is_free(port):
            port = free_port()
        try:
            child = start(port)
        except ChildFailed as error:
            output = children.tail(log, start=begin)
            # Somebody may have taken the port between our look and the server's.
            if "Address already in use" in output and attempt < PORT_ATTEMPTS - 1:
                port = None
                continue
            raise EmbeddedFailed(f"{error}\n{output}") from None
        remembered.write_text(str(port))
        return port, child
    raise EmbeddedFailed("no free port was found")


def _remembered_port(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def is_free(port: int) -> bool:
    """Whether a TCP port of loopback can be listened on at this moment."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def await_ready(child: Child, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    try:
        while not is_ready():
            if not child.alive:
                raise ChildFailed(f"{child.name} ended while starting (exit {child.exit_code})")
            if time.monotonic() > deadline:
                raise ChildFailed(f"{child.name} is not ready after {START_SECONDS:.0f} s (log: {child.log})")
            time.sleep(0.02)
    except BaseException:
        child.kill()
        raise


def package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedFailed(f"the Python package {name} is not installed; run `make venv`")
    return Path(next(iter(spec.submodule_search_locations)))


def write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{text}\n")
