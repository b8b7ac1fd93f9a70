"""Child processes that never outlive us: each runs under a guard (see guard.py)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from devkit.errors import CannotRun

Identity = Literal["self", "userns", "nobody"]
StopSteps = Sequence[tuple[signal.Signals, float]]

GUARD = Path(__file__).with_name("guard.py")
TERMINATE: StopSteps = ((signal.SIGTERM, 10.0),)
LOG_LIMIT_BYTES = 5_000_000


class ChildFailed(CannotRun):
    """A child process could not be started, ended early or did not end in time."""


def guard_command(*arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(GUARD), *arguments]


def can_reach(*, identity: Identity, paths: Sequence[Path]) -> bool:
    """Whether a process may take on this identity here and can then open (or run) every path."""
    if identity == "self":
        return all(os.access(path, os.X_OK) for path in paths)
    command = guard_command("probe", identity, *map(str, paths))
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@dataclass
class Child:
    """A running command below its guard. Make one with `Child.start`."""

    name: str
    pid: int
    log: Path
    _guard: subprocess.Popen[bytes] = field(repr=False)
    _lifeline: int = field(repr=False)
    _report: int = field(repr=False)
    _exit_code: int | None = None
    _finishing: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        name: str,
        log: Path,
        output: int | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        identity: Identity = "self",
        stop: StopSteps = TERMINATE,
        keep_fds: Sequence[int] = (),
    ) -> Child:
        """Start `command`; what it says is appended to `log`, or goes to the open file `output`, errors apart.

        `stop` lists signals and how many seconds each may take; SIGKILL follows. `keep_fds` stay open in
        the command and its children (a lock file that has to be held as long as any of them lives).
        Raises ChildFailed when the command cannot be run.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
        order_read, lifeline = os.pipe()
        report, report_write = os.pipe()
        try:
            with log.open("ab") as sink:
                guard = subprocess.Popen(
                    guard_command(),
                    env=None if env is None else dict(env),
                    stdin=order_read,
                    stdout=sink if output is None else output,
                    stderr=sink,
                    start_new_session=True,
                    pass_fds=(report_write, *keep_fds),
                )
        except BaseException:
            os.close(lifeline)
            os.close(report)
            raise
        finally:
            os.close(order_read)
            os.close(report_write)
        child = cls(name=name, pid=0, log=log, _guard=guard, _lifeline=lifeline, _report=report)
        child._order(
            command,
            cwd=cwd,
            identity=identity,
            stop=stop,
            keep_fds=keep_fds,
            report_fd=report_write,
        )
        return child

    def _order(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None,
        identity: Identity,
        stop: StopSteps,
        keep_fds: Sequence[int],
        report_fd: int,
    ) -> None:
        order = {
            "command": list(command),
            "cwd": None if cwd is None else str(cwd),
            "identity": identity,
            "stop": [[int(number), seconds] for number, seconds in stop],
            "keep_fds": list(keep_fds),
            "report_fd": report_fd,
            "parent": os.getpid(),
        }
        os.write(self._lifeline, json.dumps(order).encode() + b"\n")
        word, _, rest = self._read_report().partition(" ")
        if word != "pid":
            self._close()
            self._guard.wait()
            raise ChildFailed(f"{self.name} does not start: {rest or 'its guard ended'} (log: {self.log})")
        self.pid = int(rest)

    def _read_report(self) -> str:
        line = bytearray()
        while not line.endswith(b"\n"):
            byte = os.read(self._report, 1)
            if not byte:
                break
            line += byte
        return line.decode().strip()

    @property
    def exit_code(self) -> int | None:
        """None while it runs; then its exit code, or minus the signal that ended it."""
        if self._exit_code is None and self._guard.poll() is not None:
            self._finish()
        return self._exit_code

    @property
    def alive(self) -> bool:
        return self.exit_code is None

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the command and everything below it has ended. Raises ChildFailed after `timeout` seconds."""
        try:
            self._guard.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ChildFailed(f"{self.name} is still running after {timeout} s") from None
        return self._finish()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command itself. SIGKILL also ends everything below it, and is waited for."""
        if not self.alive:
            return
        if number is signal.SIGKILL:
            self._guard.send_signal(signal.SIGUSR1)
            self.wait()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End the command and everything below it with SIGKILL, as a power cut would."""
        self.signal(signal.SIGKILL)

    def begin_stop(self) -> None:
        """Let it end in its own way (the steps given to `start`), without waiting."""
        self._close_lifeline()

    def stop(self) -> int:
        """End it in its own way, wait, and return the exit code."""
        self.begin_stop()
        return self.wait()

    def _finish(self) -> int:
        with self._finishing:
            if self._exit_code is None:
                word, _, rest = self._read_report().partition(" ")
                if word != "exit":
                    # The guard was killed. The kernel has ended the command; what that had started is ours to end.
                    kill_session(self.pid)
                self._close()
                self._exit_code = int(rest) if word == "exit" else -signal.SIGKILL
            return self._exit_code

    def _close_lifeline(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def _close(self) -> None:
        self._close_lifeline()
        if self._report >= 0:
            os.close(self._report)
            self._report = -1


def kill_session(session: int) -> None:
    """SIGKILL every process of a session until none is left."""
    if not Path("/proc/self/stat").exists():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(session, signal.SIGKILL)
        return
    while members := _session_members(session):
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _session_members(session: int) -> list[int]:
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] not in "ZX":
                    members.append(int(entry.name))
    return members


def run(
    command: Sequence[str],
    *,
    name: str,
    log: Path,
    output: int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    identity: Identity = "self",
    timeout: float = 120.0,
) -> None:
    """Run a command to its end. Raises ChildFailed with the last lines of its log when it fails."""
    start = log.stat().st_size if log.exists() else 0
    child = Child.start(command, name=name, log=log, output=output, env=env, cwd=cwd, identity=identity)
    try:
        code = child.wait(timeout)
    finally:
        child.kill()
    if code != 0:
        raise ChildFailed(f"{name} failed (exit {code}):\n{tail(log, start=start)}")


def output_of(
    command: Sequence[str], *, name: str, log: Path, env: Mapping[str, str], cwd: Path, timeout: float
) -> str:
    """Run a command to its end and return its standard output. Raises ChildFailed as `run` does."""
    with tempfile.TemporaryFile() as output:
        run(command, name=name, log=log, output=output.fileno(), env=env, cwd=cwd, timeout=timeout)
        output.seek(0)
        return output.read().decode()


def text_since(log: Path, start: int) -> str:
    """What was written to a log from byte `start` on; all of it when the log was begun anew meanwhile."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(start if start <= log.stat().st_size else 0)
        return file.read().decode(errors="replace")


def tail(log: Path, *, start: int = 0, lines: int = 15) -> str:
    """The last lines of a log, from byte `start` on, for an error message."""
    return "\n".join(text_since(log, start).splitlines()[-lines:])
