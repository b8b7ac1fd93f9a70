"""The watcher that stands between us and every process that we start.

It runs as a script of its own (`python -I -S guard.py`), imports nothing but the standard library,
and holds one promise: when whoever started it is gone, for whatever reason, everything below it goes too.

    parent --(pipe)--> guard --> command --> its children

The parent keeps the writing end of the guard's standard input. The first line is the order, as JSON;
after it the pipe stays open. Its end of file (also the one that the kernel makes when the parent is
killed with SIGKILL) stops the command as the order says; SIGUSR1 ends everything at once.
Should the guard itself be killed, the command gets SIGKILL from the kernel (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

LINUX = sys.platform == "linux"
NOBODY = 65534
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWUSER = 0x10000000
PARENT_CHECK_SECONDS = 0.5
UNABLE = 125
"""Exit code of a guard that could not start its command."""


def assume(identity: str) -> None:
    """Become the user that the order names. Runs between fork and exec, or in a probe.

    `self` changes nothing; `userns` maps root to nobody in a user namespace of its own (files stay
    root's, and root's folders stay reachable); `nobody` gives root up for good.
    """
    if identity == "userns":
        uid, gid = os.geteuid(), os.getegid()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "this system refuses user namespaces")
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{NOBODY} {uid} 1")
        _write("/proc/self/gid_map", f"{NOBODY} {gid} 1")
    elif identity == "nobody":
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def _write(path: str, text: str) -> None:
    Path(path).write_text(text)


def _prctl(option: int, value: int) -> None:
    if LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


class Guard:
    """One command and everything that it starts."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.command: list[str] = order["command"]
        self.cwd: str | None = order["cwd"]
        self.identity: str = order["identity"]
        self.stop_steps: list[tuple[int, float]] = order["stop"]
        self.keep_fds: list[int] = order["keep_fds"]
        self.report_fd: int = order["report_fd"]
        self.parent: int = order["parent"]
        self.pid = 0
        self.status: int | None = None
        self.asked_to_stop = False
        self.asked_to_kill = False
        self.wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)

    def run(self) -> int:
        # Handlers, not SIG_IGN: what is ignored here would stay ignored in the command.
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGUSR1, self._on_kill)
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        try:
            child = subprocess.Popen(
                self.command,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=self.keep_fds,
                preexec_fn=self._become_command,  # safe: the guard has one thread
            )
        except (OSError, subprocess.SubprocessError) as error:
            self._report(f"error {error}")
            return UNABLE
        self.pid = child.pid
        self._report(f"pid {child.pid}")
        self._watch()
        self._reap_descendants()
        child.returncode = self.status or 0
        self._report(f"exit {self.status}")
        return 0

    def _become_command(self) -> None:
        guard = os.getppid()
        for number in (
            signal.SIGINT,
            signal.SIGTERM,
            signal.SIGHUP,
            signal.SIGQUIT,
            signal.SIGCHLD,
        ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        assume(self.identity)
        # Last, because a change of user clears it.
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(UNABLE)

    def _watch(self) -> None:
        while self.status is None and not self.asked_to_stop and not self.asked_to_kill:
            self._wait(PARENT_CHECK_SECONDS, listen=True)
            if os.getppid() != self.parent:
                break
        for number, seconds in self.stop_steps:
            self._signal(number)
            deadline = time.monotonic() + seconds
            while not self.asked_to_kill and self.status is None and (left := deadline - time.monotonic()) > 0:
                self._wait(left, listen=False)
        self._signal(signal.SIGKILL)
        while self.status is None:
            self._wait(PARENT_CHECK_SECONDS, listen=False)

    def _wait(self, seconds: float, *, listen: bool) -> None:
        """Sleep until something happens; while listening, also until the parent lets go of the pipe."""
        ready, _, _ = select.select([self.wake_read, 0] if listen else [self.wake_read], [], [], seconds)
        if self.wake_read in ready:
            os.read(self.wake_read, 4096)
        if 0 in ready and not os.read(0, 4096):
            self.asked_to_stop = True
        self._reap()

    def _reap(self) -> bool:
        """Collect what has ended. True while there is a child left, ours or an adopted one."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.pid:
                self.status = os.waitstatus_to_exitcode(status)

    def _reap_descendants(self) -> None:
        """End what the command left behind: as a subreaper, the guard has become its parent."""
        if not LINUX:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                return
        while self._reap():
            for pid in _children_of(os.getpid()):
                _kill(pid, signal.SIGKILL)
            select.select([self.wake_read], [], [], 0.02)

    def _signal(self, number: int) -> None:
        if self.status is None and (number == signal.SIGKILL or not self.asked_to_kill):
            _kill(self.pid, number)

    def _on_stop(self, *_: object) -> None:
        self.asked_to_stop = True

    def _on_kill(self, *_: object) -> None:
        self.asked_to_kill = True

    def _report(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # Nobody is left to read it.
            os.write(self.report_fd, f"{line}\n".encode())


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _children_of(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The command's name may hold spaces and brackets; the fields start behind its last one.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent:
                    found.append(int(entry.name))
    return found


def probe(identity: str, paths: list[str]) -> NoReturn:
    """Exit 0 when this identity can be assumed here and reaches every path, else 1."""
    try:
        assume(identity)
    except OSError:
        sys.exit(1)
    sys.exit(0 if all(os.access(path, os.X_OK) for path in paths) else 1)


def main() -> None:
    if sys.argv[1:2] == ["probe"]:
        probe(sys.argv[2], sys.argv[3:])
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(UNABLE)
        line += byte
    sys.exit(Guard(json.loads(line)).run())


if __name__ == "__main__":
    main()
