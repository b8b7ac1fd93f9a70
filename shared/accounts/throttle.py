"""Counts of failed sign-ins, kept in Valkey: they slow guessing down and lock nobody out.

Three buckets, each a number that expires by itself:

    account + address   stops one machine that guesses at one account
    address             stops one machine that tries many accounts
    account             stops many machines that guess at one account; an address from which the
                        account's owner has signed in before is not held to it

An attempt is counted before the password is looked at, so that parallel guesses cannot slip past,
and taken back when it succeeds. Valkey may lose everything: then counting starts anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import redis
import structlog
from django.conf import settings

from engine.errors import DomainError
from engine.tenancy.context import key_prefix

log = structlog.get_logger("keystead.accounts")


class SignInUnavailable(DomainError):
    """Attempts cannot be counted at the moment, so none is made: a guesser must not gain from that."""

    code = "sign_in_unavailable"
    status = 503
    title = "Signing in is not possible at the moment"


class TooManyAttempts(DomainError):
    """Somebody guesses. `retry_after` says in how many seconds it is worth trying again."""

    code = "too_many_attempts"
    status = 429
    title = "Too many sign-in attempts"


@dataclass(frozen=True, slots=True)
class Limits:
    """How many attempts a bucket holds, and for how many seconds."""

    pair: int = 5
    address: int = 100
    account: int = 50
    window_s: int = 900


LIMITS = Limits()


@lru_cache(maxsize=1)
def _valkey() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in that has been counted."""

    keys: tuple[str, ...]

    def succeeded(self) -> None:
        """Take it back: the owner's own typing errors do not add up over a day."""
        pair, *others = self.keys
        try:
            with _valkey().pipeline() as pipe:
                pipe.delete(pair)
                for key in others:
                    pipe.decr(key)
                pipe.execute()
        except redis.RedisError as error:
            # The password was right: one attempt too many in the count is no reason to refuse.
            log.warning("accounts.throttle_unavailable", error=type(error).__name__)


def count(*, account: str, address: str | None, known_address: Callable[[], bool]) -> Attempt:
    """Count an attempt at `account` (any stable text) from `address` (an IP, None when unknown).

    `known_address` is asked only when the account as a whole is under attack. Raises TooManyAttempts,
    SignInUnavailable.
    """
    who = hashlib.sha256(account.encode()).hexdigest()[:32]
    prefix = f"{key_prefix()}accounts:attempts:"
    keys = (f"{prefix}{who}:{address}", f"{prefix}address:{address}", f"{prefix}account:{who}")
    pair, by_address, by_account = _counted(keys)
    if pair > LIMITS.pair or by_address > LIMITS.address:
        raise _refusal(keys[0] if pair > LIMITS.pair else keys[1])
    if by_account > LIMITS.account and not known_address():
        raise _refusal(keys[2])
    return Attempt(keys)


def _counted(keys: tuple[str, ...]) -> list[int]:
    try:
        with _valkey().pipeline() as pipe:
            for key in keys:
                pipe.incr(key)
                pipe.expire(key, LIMITS.window_s, nx=True)
            return [int(count) for count in pipe.execute()[::2]]
    except redis.RedisError as error:
        log.warning("accounts.throttle_unavailable", error=type(error).__name__)
        raise SignInUnavailable(retry_after=5) from error


def _refusal(key: str) -> TooManyAttempts:
    try:
        seconds = int(_valkey().ttl(key))
    except redis.RedisError:
        seconds = LIMITS.window_s
    return TooManyAttempts("Wait a while, or sign in from where you usually do.", retry_after=max(1, seconds))
