"""File locks that the kernel gives back when their holders die."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path

from devkit.errors import CannotRun

DYING_SECONDS = 20.0


class Claimed(CannotRun):
    """Another living process uses the folder."""


@dataclass
class Claim:
    """An exclusive lock on a file. Children that inherit `fd` hold it too, until the last of them ends."""

    fd: int

    @classmethod
    def take(cls, path: Path, *, what: str) -> Claim:
        """Take the lock. Waits while only remains of a dead owner hold it; raises Claimed when the owner lives."""
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + DYING_SECONDS
        while not try_lock(fd, exclusive=True):
            owner = os.pread(fd, 32, 0).decode(errors="replace").strip()
            if _lives(owner) or time.monotonic() > deadline:
                os.close(fd)
                raise Claimed(f"{what} is in use by process {owner}; stop that one first, or use another state folder")
            time.sleep(0.05)
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        return cls(fd)

    def release(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def try_lock(fd: int, *, exclusive: bool) -> bool:
    """Take a shared or an exclusive lock on an open file, without waiting. False when others stand in the way."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(pid: str) -> bool:
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
