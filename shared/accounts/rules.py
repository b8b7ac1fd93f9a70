"""Pure rules of accounts: how addresses are compared and what an opaque token looks like."""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Callable, Iterable

SESSION_PREFIX = "kst"
INVITATION_PREFIX = "kin"
DEVICE_PREFIX = "kdt"
CEREMONY_PREFIX = "kcy"
TOKEN_BYTES = 32
# 62^43 is the first power of 62 above 2^256, so 43 characters hold every token.
TOKEN_CHARACTERS = 43
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


# RFC 8176. A passkey that verified its user is possession and knowledge at once.
PASSWORD, CODE, PASSKEY, FEDERATED, MULTI_FACTOR = "pwd", "otp", "hwk", "fed", "mfa"


def is_multi_factor(methods: Iterable[str]) -> bool:
    """Whether what was shown are two factors."""
    shown = set(methods)
    return MULTI_FACTOR in shown or PASSKEY in shown or shown >= {PASSWORD, CODE}


def normalise_email(email: str) -> str:
    """The one form in which an address is stored and looked up: NFKC, trimmed, lower case.

    Mail hosts may tell capital letters in the local part apart; none in use does, and two accounts that
    differ by case only are how people are impersonated.
    """
    return unicodedata.normalize("NFKC", email).strip().lower()


def new_token(prefix: str, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """An opaque bearer token: ``<prefix>_`` and 32 random bytes in base62, always 43 characters."""
    number = int.from_bytes(random_bytes(TOKEN_BYTES), "big")
    characters = []
    for _ in range(TOKEN_CHARACTERS):
        number, digit = divmod(number, 62)
        characters.append(_ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(characters))}"


def looks_like_token(prefix: str, text: str) -> bool:
    """Whether `text` has the shape of a token of this kind; says nothing about its validity."""
    head, separator, body = text.partition("_")
    return (
        head == prefix
        and separator == "_"
        and len(body) == TOKEN_CHARACTERS
        and all(character in _ALPHABET for character in body)
    )


def hash_token(token: str) -> str:
    """What is stored of a token: SHA-256 in hex.

    A token carries 256 random bits, so there is nothing to guess and a slow hash would only help whoever
    wants to keep our processors busy.
    """
    return hashlib.sha256(token.encode()).hexdigest()
