"""Passwords that stood in breaches, looked up without telling anybody (NIST SP 800-63B section 5.1.1.2).

A packed list of the commonest stands beside this module; `KEYSTEAD_BREACHED_PASSWORDS_FILE` names a whole one, in
the form of Have I Been Pwned: a line `<SHA-1 in hex>:<count>` for each password, in the order of the hashes.
"""

from __future__ import annotations

import hashlib
import mmap
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from django.conf import settings

_PACKED = Path(__file__).parent / "data" / "breached-passwords.bin"
_PREFIX_BYTES = 5
_HASH_CHARACTERS = 40


def contains(password: str) -> bool:
    """Whether the password stood in a breach. Capitals make no difference to the packed list."""
    full: Path | None = settings.BREACHED_PASSWORDS_FILE
    return _in_packed(password) or (full is not None and in_file(password, full))


def pack(passwords: Iterable[str]) -> bytes:
    """The packed form of a list."""
    return b"".join(sorted({_prefix(one) for one in passwords}))


def in_file(password: str, file: Path) -> bool:
    """Whether a file of Have I Been Pwned's form has the password: a search by halves, whatever its size."""
    # The file is published as SHA-1; nothing is protected by it here.
    wanted = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as lines:
        low, high = 0, len(lines)
        while low < high:
            middle = (low + high) // 2
            start = lines.rfind(b"\n", low, middle) + 1 or low
            found = lines[start : start + _HASH_CHARACTERS].upper()
            if found == wanted:
                return True
            if found < wanted:
                end = lines.find(b"\n", start)
                low = len(lines) if end < 0 else end + 1
            else:
                high = start
    return False


def _in_packed(password: str) -> bool:
    known, wanted = _packed(), _prefix(password)
    at = bisect_left(range(len(known) // _PREFIX_BYTES), wanted, key=lambda n: _at(known, n))
    return _at(known, at) == wanted


@lru_cache(maxsize=1)
def _packed() -> bytes:
    return _PACKED.read_bytes()


def _at(known: bytes, number: int) -> bytes:
    return known[number * _PREFIX_BYTES : (number + 1) * _PREFIX_BYTES]


def _prefix(password: str) -> bytes:
    return hashlib.sha1(password.lower().encode(), usedforsecurity=False).digest()[:_PREFIX_BYTES]
