"""Runs the platform's processes on one machine: in order, with a readiness probe each, and none left behind.

with Supervisor(log_dir) as processes:
    processes.start([Program("api", ...), Program("worker", ...)])
    processes.kill("worker")
    processes.restart("worker")
"""

from __future__ import annotations

import http.client
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from devkit import children
from devkit.children import Child, ChildFailed
from devkit.errors import CannotRun

READY_SECONDS = 60.0
LOOK_EVERY_SECONDS = 0.05


class ProcessFailed(CannotRun):
    """A process did not start, or is not there; the message ends with the last lines of its log."""


class Probe(Protocol):
    """Says whether a process that was just started can be used."""

    def __call__(self, *, log: Path, log_start: int) -> bool: ...

    def obstacle(self) -> str:
        """Why it would be fooled if the process were started now; empty when it would not."""
        ...


@dataclass(frozen=True)
class HttpAnswers:
    """Ready when a GET is answered with a status below 500."""

    port: int
    path: str = "/"
    host: str = "127.0.0.1"
    """Sent as the Host header; the connection always goes to loopback."""

    def __call__(self, *, log: Path, log_start: int) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", self.path, headers={"Host": self.host})
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def obstacle(self) -> str:
        return _obstacle_at(self.port)


@dataclass(frozen=True)
class TcpAccepts:
    """Ready when a connection is accepted."""

    port: int

    def __call__(self, *, log: Path, log_start: int) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def obstacle(self) -> str:
        return _obstacle_at(self.port)


def _obstacle_at(port: int) -> str:
    with socket.socket() as connection:
        connection.settimeout(1)
        taken = connection.connect_ex(("127.0.0.1", port)) == 0
    return f"port {port} is taken by another program" if taken else ""


@dataclass(frozen=True)
class LogSays:
    """Ready when this run's log holds a text, as often as asked (once per worker process)."""

    text: str
    times: int = 1

    def __call__(self, *, log: Path, log_start: int) -> bool:
        return children.text_since(log, log_start).count(self.text) >= self.times

    def obstacle(self) -> str:
        return ""


@dataclass(frozen=True)
class Program:
    """How one process is run. Those of a lower stage are started first and stopped last."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    ready: Probe
    stage: int = 0
    stop: children.StopSteps = children.TERMINATE
    cwd: Path | None = None


@dataclass
class _Running:
    program: Program
    child: Child
    log_start: int
    reported: bool = False


class Supervisor:
    """The processes of one stack. Leaving its block stops them all."""

    def __init__(self, log_dir: Path, *, tell: Callable[[str], None] = lambda _: None) -> None:
        self._log_dir = log_dir
        self._tell = tell
        self._running: dict[str, _Running] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, programs: Iterable[Program]) -> None:
        """Start them all, lower stages first, and wait until all are ready.

        Raises ProcessFailed; the ones that did start keep running until `stop`.
        """
        ordered = sorted(programs, key=lambda program: program.stage)
        for program in ordered:
            self._launch(program)
        for program in ordered:
            self._await_ready(program.name)

    def restart(self, name: str) -> None:
        """Start it again and wait until it is ready; stop it first if it still runs."""
        running = self._get(name)
        running.child.stop()
        self._launch(running.program)
        self._await_ready(name)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to it. SIGKILL also ends all that it started, and is waited for."""
        running = self._get(name)
        running.reported = True
        running.child.signal(number)

    def pid(self, name: str) -> int:
        return self._get(name).child.pid

    def alive(self, name: str) -> bool:
        return self._get(name).child.alive

    def log(self, name: str) -> Path:
        return self._log_dir / f"{name}.log"

    def fallen(self) -> list[str]:
        """Names of processes that ended although nobody asked them to. Each fall is told once."""
        names = []
        for name, running in self._running.items():
            if not running.reported and not running.child.alive:
                running.reported = True
                names.append(name)
        return names

    def stop(self) -> None:
        """Stop all of them, the highest stage first. Interrupted (a second Ctrl-C), it kills what is left."""
        try:
            for stage in sorted({each.program.stage for each in self._running.values()}, reverse=True):
                members = [each.child for each in self._running.values() if each.program.stage == stage]
                for child in members:
                    child.begin_stop()
                for child in members:
                    child.wait()
        except BaseException:
            for running in self._running.values():
                running.child.kill()
            raise
        finally:
            self._running.clear()

    def _get(self, name: str) -> _Running:
        try:
            return self._running[name]
        except KeyError:
            known = ", ".join(sorted(self._running)) or "none"
            raise ProcessFailed(f"there is no process {name!r} here; there are: {known}") from None

    def _launch(self, program: Program) -> None:
        log = self.log(program.name)
        if obstacle := program.ready.obstacle():
            raise ProcessFailed(f"{program.name} cannot start: {obstacle}")
        self._tell(f"starting {program.name}")
        log_start = log.stat().st_size if log.exists() else 0
        try:
            child = Child.start(
                program.command, name=program.name, log=log, env=program.env, cwd=program.cwd, stop=program.stop
            )
        except ChildFailed as error:
            raise ProcessFailed(str(error)) from None
        self._running[program.name] = _Running(program, child, log_start)

    def _await_ready(self, name: str) -> None:
        running = self._running[name]
        log = self.log(name)
        deadline = time.monotonic() + READY_SECONDS
        while not running.program.ready(log=log, log_start=running.log_start):
            if not running.child.alive:
                running.reported = True
                trouble = f"{name} ended while starting (exit {running.child.exit_code})"
            elif time.monotonic() > deadline:
                trouble = f"{name} is not ready after {READY_SECONDS:.0f} s"
            else:
                time.sleep(LOOK_EVERY_SECONDS)
                continue
            raise ProcessFailed(f"{trouble}; the end of {log}:\n{children.tail(log, start=running.log_start)}")
        self._tell(f"{name} is ready")
