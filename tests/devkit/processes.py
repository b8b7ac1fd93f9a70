"""Programs that the tests run as a person would, and a look at what is left of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devkit.children import Identity


@dataclass(frozen=True)
class Who:
    """A user to run as, and what the servers are expected to run as."""

    name: str
    prefix: tuple[str, ...]
    python: str
    identity: Identity


ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30.0
PACKAGES = sysconfig.get_path("purelib")

AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
can_become_nobody = os.geteuid() == 0 and shutil.which("setpriv") is not None


def mentioning(text: str) -> list[str]:
    """Command lines of living processes that name `text`, in their arguments, environment or open folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes()
            places = command + (entry / "environ").read_bytes()
            with contextlib.suppress(OSError):
                places += bytes((entry / "cwd").readlink())
            if text.encode() in places and b"Z" not in (entry / "stat").read_bytes().rpartition(b")")[2]:
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


def await_nothing(text: str) -> list[str]:
    """Wait until no process mentions `text`; what is left when patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (left := mentioning(text)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


@contextlib.contextmanager
def program(source: str, *arguments: object, who: Who) -> Iterator[subprocess.Popen[str]]:
    """Run Python source with our packages on its path, in a session of its own."""
    process = subprocess.Popen(
        [*who.prefix, who.python, "-c", source, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT), PACKAGES))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def line_of(process: subprocess.Popen[str], start: str) -> str:
    """Read the program's output up to the line that begins so, and return the rest of that line."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        if line.startswith(start):
            return line.removeprefix(start).strip()
        seen.append(line)
    raise AssertionError(f"no line {start!r} in:\n{''.join(seen)}")
