"""Enrolment codes: short enough to be typed on a terminal, hard enough to guess while they live.

Twelve characters of Crockford's base32, `K7QM-2X9D-T4WA`. The first four find the row, so that wrong
guesses can be counted against the code that they were aimed at; the other eight (40 bits) are the
secret, and a code is void after `ATTEMPTS_MAX` wrong guesses.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import timedelta

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 12
HANDLE_LENGTH = 4
GROUP = 4
ATTEMPTS_MAX = 5
LIFETIME_DEFAULT = timedelta(minutes=15)
LIFETIME_MAX = timedelta(days=7)

_READ_ALIKE = str.maketrans({"O": "0", "I": "1", "L": "1"})
_SEPARATORS = re.compile(r"[\s-]+")


class MalformedCodeError(ValueError):
    """The text cannot be an enrolment code, whatever the organization."""


def generate(choose: Callable[[str], str]) -> str:
    """A new code without separators; `choose` picks one character (`secrets.choice`)."""
    return "".join(choose(ALPHABET) for _ in range(LENGTH))


def printed(code: str) -> str:
    """The code as a human reads it: groups of four with dashes."""
    return "-".join(code[start : start + GROUP] for start in range(0, LENGTH, GROUP))


def normalized(text: str) -> str:
    """The code that a human meant: case, spaces and dashes aside, O as 0, I and L as 1.

    Raises MalformedCodeError when another character or another length is left.
    """
    code = _SEPARATORS.sub("", text).upper().translate(_READ_ALIKE)
    if len(code) != LENGTH or not set(code) <= set(ALPHABET):
        raise MalformedCodeError("an enrolment code has twelve letters and digits")
    return code


def handle(code: str) -> str:
    """The part that finds the row. Not secret."""
    return code[:HANDLE_LENGTH]


def digest(code: str, *, pepper: bytes) -> bytes:
    """What is stored of a code. `pepper` is a key outside the database."""
    return hmac.digest(pepper, code.encode(), hashlib.sha256)
