"""One embedded PostgreSQL and Valkey for every test process of a checkout.

The first comer starts a keeper process, which holds the servers; the last one to leave ends it. Every
user holds a shared lock on a file, which the kernel gives back even after SIGKILL, so the keeper
always knows whether somebody is left. Two more locks make it safe:

    gate    held for as long as somebody joins, leaves or counts
    users   shared: one per user. Exclusive for an instant: "is anybody there?"
    keeper  held by the keeper while it lives
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from devkit import children
from devkit.embedded import embedded
from devkit.locks import try_lock
from devkit.servers import EmbeddedFailed, write_private

JOIN_SECONDS = 90.0
COUNT_EVERY_SECONDS = 0.5


@dataclass(frozen=True)
class SharedServers:
    """Where the servers are. They are volatile: fast, and not safe against a power cut."""

    postgres_url: str
    """Superuser DSN to the database `postgres`."""
    redis_url: str


class _Files:
    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.gate = state_dir / "gate.lock"
        self.users = state_dir / "users.lock"
        self.keeper = state_dir / "keeper.lock"
        self.address = state_dir / "servers.json"
        self.log = state_dir / "logs" / "keeper.log"


@contextlib.contextmanager
def shared_embedded(state_dir: Path) -> Iterator[SharedServers]:
    """Join the servers of `state_dir`, starting them for the first user and ending them after the last.

    Raises EmbeddedFailed when they cannot be started.
    """
    files = _Files(state_dir.resolve())
    files.log.parent.mkdir(parents=True, exist_ok=True)
    users = _open(files.users)
    started: int | None = None
    try:
        with _held(files.gate):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not _keeper_lives(files):
                started = _start_keeper(files)
            servers = SharedServers(**json.loads(files.address.read_text()))
        yield servers
    finally:
        with _held(files.gate):
            os.close(users)
            if _nobody_left(files):
                _end_keeper(files)
        if started is not None:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(started, os.WNOHANG)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    fd = _open(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _is_free(path: Path) -> bool:
    fd = _open(path)
    try:
        return try_lock(fd, exclusive=True)
    finally:
        os.close(fd)


def _nobody_left(files: _Files) -> bool:
    return _is_free(files.users)


def _keeper_lives(files: _Files) -> bool:
    return not _is_free(files.keeper) and files.address.exists()


def _start_keeper(files: _Files) -> int:
    files.address.unlink(missing_ok=True)
    start = files.log.stat().st_size if files.log.exists() else 0
    with files.log.open("ab") as output:
        # Not subprocess: the keeper may outlive us, and a Popen object would complain about that.
        keeper = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "devkit.sharing", str(files.state_dir)],
            {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
            ],
            setsid=True,
        )
    deadline = time.monotonic() + JOIN_SECONDS
    while not files.address.exists():
        ended, _ = os.waitpid(keeper, os.WNOHANG)
        if ended or time.monotonic() > deadline:
            if not ended:
                os.kill(keeper, signal.SIGKILL)
                os.waitpid(keeper, 0)
            raise EmbeddedFailed(f"the test servers do not start:\n{children.tail(files.log, start=start)}")
        time.sleep(0.02)
    return keeper


def _end_keeper(files: _Files) -> None:
    with contextlib.suppress(OSError, ValueError, ProcessLookupError):
        if not _is_free(files.keeper):
            os.kill(int(files.keeper.read_text()), signal.SIGTERM)
    while not _is_free(files.keeper):
        time.sleep(0.02)


def keep(state_dir: Path) -> None:
    """The keeper: run the servers until nobody is left, or until SIGTERM."""
    files = _Files(state_dir)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    lock = _open(files.keeper)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    with embedded(state_dir, volatile=True) as servers:
        address = json.dumps(asdict(SharedServers(servers.postgres_url, servers.redis_url)))
        unfinished = files.address.with_suffix(".new")
        write_private(unfinished, address)
        unfinished.replace(files.address)
        gate = _open(files.gate)
        while not stopping and servers.postgres.child.alive and servers.valkey.child.alive:
            time.sleep(COUNT_EVERY_SECONDS)
            if try_lock(gate, exclusive=True):
                if _nobody_left(files):
                    break  # Ends with the gate held: whoever comes now waits, and starts anew.
                fcntl.flock(gate, fcntl.LOCK_UN)
        files.address.unlink(missing_ok=True)


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
