"""Keys in clear in memory: held in a bytearray, lent for a use, overwritten when done.

Best effort, and honest about it: Python and OpenSSL may hold copies that nobody can reach. What
it does stop is a key that lives for the life of the process, and one that lands in a core dump.
"""

import ctypes
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_PR_SET_DUMPABLE: Final = 4


class KeyWiped(Exception):
    """This key was overwritten; fetch it again."""


class SecretKey:
    """A key in clear. `use()` lends it; `wipe()` overwrites it once the last use has ended."""

    __slots__ = ("_lock", "_material", "_uses", "_wiped")

    def __init__(self, material: bytearray) -> None:
        """Take ownership of `material`: the caller keeps no other reference to it."""
        self._material = material
        self._lock = threading.Lock()
        self._uses = 0
        self._wiped = False

    def __repr__(self) -> str:
        return f"<SecretKey{' wiped' if self._wiped else ''}>"

    @contextmanager
    def use(self) -> Iterator[bytearray]:
        """Lend the key for a block. A wipe meanwhile waits for the end of the block.

        Without the wait, a thread that seals while another evicts would seal under zeros.
        """
        with self._lock:
            if self._wiped:
                raise KeyWiped
            self._uses += 1
        try:
            yield self._material
        finally:
            with self._lock:
                self._uses -= 1
                self._overwrite_when_free()

    def wipe(self) -> None:
        """Refuse further uses and overwrite the bytes, now or when the last use ends."""
        with self._lock:
            self._wiped = True
            self._overwrite_when_free()

    def _overwrite_when_free(self) -> None:
        if self._wiped and self._uses == 0:
            overwrite(self._material)


def overwrite(material: bytearray) -> None:
    """Set every byte to zero in place."""
    material[:] = bytes(len(material))


def forbid_core_dumps() -> None:
    """No core file of this process and, on Linux, no ptrace by its own user. Call at process start.

    Source: setrlimit(2), RLIMIT_CORE; prctl(2), PR_SET_DUMPABLE.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")
