"""Identifiers: UUIDv7 inside, TypeID text (``pay_01h455vb4pex5vsknk084sn02q``) outside.

Sources: RFC 9562 section 5.7 and 6.2 (method 3) for UUIDv7; the TypeID specification 0.3 for the text.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from uuid import UUID

PRINCIPAL_PREFIXES = {
    "member": "mem",
    "app": "app",
    "device": "dev",
    "operator": "opr",
    "system": "sys",
}
SUFFIX_LENGTH = 26
# Crockford's base32 in lower case, as the TypeID specification fixes it.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_PREFIX = re.compile(r"[a-z](?:[a-z_]{0,61}[a-z])?\Z")

_lock = threading.Lock()
_last_tick = 0


class InvalidId(ValueError):
    """A text is not an identifier of the kind that was asked for."""


def uuid7() -> UUID:
    """A new UUIDv7. Values made by one process are strictly increasing.

    The 12 bits behind the millisecond carry its fraction, so rows of one millisecond keep their order;
    the other 62 bits are random.
    """
    global _last_tick
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    tick = (milliseconds << 12) | ((rest << 12) // 1_000_000)
    with _lock:
        # A clock that stands still or steps back must not break the order that cursors rely on.
        _last_tick = tick = max(tick, _last_tick + 1)
    value = (tick >> 12) << 80 | 0x7 << 76 | (tick & 0xFFF) << 64 | 0b10 << 62 | secrets.randbits(62)
    return UUID(int=value)


def encode(prefix: str, value: UUID) -> str:
    """The public text of ``value``: ``<prefix>_<26 characters>``.

    Raises ValueError for a prefix that the TypeID specification does not allow.
    """
    if not _PREFIX.match(prefix):
        raise ValueError(f"{prefix!r} is not a TypeID prefix")
    number = value.int
    characters = []
    for _ in range(SUFFIX_LENGTH):
        characters.append(_ALPHABET[number & 31])
        number >>= 5
    return f"{prefix}_{''.join(reversed(characters))}"


def decode(prefix: str, text: str) -> UUID:
    """The UUID inside the public text ``text``, which must carry ``prefix``.

    Raises InvalidId for another prefix, another length, upper case, a foreign character or an overflow.
    """
    head, separator, suffix = text.rpartition("_")
    if not separator or head != prefix:
        raise InvalidId(f"expected an id that starts with {prefix}_")
    if len(suffix) != SUFFIX_LENGTH or suffix[0] > "7":
        raise InvalidId(f"expected {prefix}_ and {SUFFIX_LENGTH} characters")
    number = 0
    for character in suffix:
        value = _VALUES.get(character)
        if value is None:
            raise InvalidId(f"an id of kind {prefix}_ has a character that base32 does not know")
        number = number << 5 | value
    return UUID(int=number)
