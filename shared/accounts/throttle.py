"""How often a password may be tried: guessing is slowed down, and nobody locks anybody out.

Where the account's owner has signed in before, in a browser that carries our cookie, attempts have a
bucket of their own, and nothing that happens elsewhere reaches it. Everywhere else three buckets count:

    account + address   stops one machine that guesses at one account
    address             stops one machine that tries many accounts
    account             stops many machines that guess at one account; an address from which the account's
                        owner has signed in before is not held to it
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from engine.clock import Clock, utc_now
from shared.accounts import attempts
from shared.accounts.attempts import Bucket, TooManyAttempts

__all__ = ["LIMITS", "Attempt", "Limits", "TooManyAttempts", "count"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How many attempts each bucket holds within the window."""

    device: int = 10
    pair: int = 5
    address: int = 100
    account: int = 50
    window: timedelta = timedelta(minutes=15)


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in that has been counted."""

    buckets: tuple[Bucket, ...]

    def succeeded(self) -> None:
        """Take it back: the owner's own typing errors do not add up over a day."""
        narrow, *wide = self.buckets
        attempts.forget([narrow])
        if wide:
            attempts.take_back(wide)


def count(
    *,
    account: str,
    address: str | None,
    device_id: UUID | None,
    known_address: Callable[[], bool],
    crossed: Callable[[Bucket], None] | None = None,
    clock: Clock = utc_now,
) -> Attempt:
    """Count an attempt at `account` (any stable text) from `address` (an IP, None when unknown), in the known
    device `device_id` if it is one.

    `crossed` is told when the account as a whole comes under attack. Raises TooManyAttempts.
    """
    window = LIMITS.window
    if device_id is not None:
        attempt = Attempt((Bucket(f"password:device:{device_id}", LIMITS.device, window),))
        attempts.count(attempt.buckets, clock=clock)
        return attempt
    who = hashlib.sha256(account.encode()).hexdigest()
    narrow = [Bucket(f"password:pair:{who}:{address}", LIMITS.pair, window)]
    if address is not None:
        narrow.append(Bucket(f"password:address:{address}", LIMITS.address, window))
    attempts.count(narrow, clock=clock)
    if known_address():
        return Attempt(tuple(narrow))
    whole = Bucket(f"password:account:{who}", LIMITS.account, window)
    attempts.count([whole], clock=clock, crossed=crossed)
    return Attempt((*narrow, whole))
