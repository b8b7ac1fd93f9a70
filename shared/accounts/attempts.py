"""Counts of what somebody might guess, kept in PostgreSQL so that losing Valkey gives a guesser nothing.

An attempt is counted, and the count committed, before anything is looked at; so guesses in parallel
cannot slip past, and a failure that undoes a transaction cannot take its count along.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection

from engine.clock import Clock, utc_now
from engine.errors import DomainError
from shared.accounts.models import Attempts

_COUNT = """
    INSERT INTO accounts_attempts AS known (key, count, expires_at) VALUES (%s, 1, %s)
    ON CONFLICT (key) DO UPDATE SET
        count = CASE WHEN known.expires_at <= %s THEN 1 ELSE known.count + 1 END,
        expires_at = CASE WHEN known.expires_at <= %s THEN excluded.expires_at ELSE known.expires_at END
    RETURNING count, expires_at
"""
_TAKE_BACK = "UPDATE accounts_attempts SET count = greatest(count - 1, 0) WHERE key = ANY(%s)"
# Housekeeping by whoever counts: there is no sweep over all organizations.
_PURGE = """
    DELETE FROM accounts_attempts WHERE key IN
        (SELECT key FROM accounts_attempts WHERE expires_at < %s LIMIT 500 FOR UPDATE SKIP LOCKED)
"""
_PURGE_ONCE_IN = 50


class TooManyAttempts(DomainError):
    """Somebody guesses. `retry_after` says in how many seconds it is worth trying again."""

    code = "too_many_attempts"
    status = 429
    title = "Too many attempts"


class CountedInTransaction(RuntimeError):
    """A count inside a transaction would be undone together with the failure that it has to count."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """At most `limit` attempts at what `name` says within `window`, which begins with the first of them."""

    name: str
    limit: int
    window: timedelta


def count(
    buckets: Sequence[Bucket], *, clock: Clock = utc_now, crossed: Callable[[Bucket], None] | None = None
) -> None:
    """Count one attempt in each bucket, in this order, up to the first that is full.

    What was refused by a narrow bucket is not counted in a wide one: one machine alone cannot use up what
    all the others share. `crossed` is told of a bucket by the attempt that finds it full first.
    Raises TooManyAttempts.
    """
    _outside_transaction()
    now = clock()
    for bucket in buckets:
        number, expires_at = _counted(bucket, now)
        if number > bucket.limit:
            if number == bucket.limit + 1 and crossed is not None:
                crossed(bucket)
            seconds = max(1, round((expires_at - now).total_seconds()))
            raise TooManyAttempts("Wait a while, or sign in from where you usually do.", retry_after=seconds)


def take_back(buckets: Sequence[Bucket]) -> None:
    """Undo one `count`: the attempt was right, and the owner's own do not add up over a day."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_BACK, [sorted(_key(bucket) for bucket in buckets)])


def forget(buckets: Sequence[Bucket]) -> None:
    """Begin these anew."""
    Attempts.objects.filter(key__in=[_key(bucket) for bucket in buckets]).delete()


def _counted(bucket: Bucket, now: datetime) -> tuple[int, datetime]:
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [_key(bucket), now + bucket.window, now, now])
        number, expires_at = cursor.fetchone()
        if secrets.randbelow(_PURGE_ONCE_IN) == 0:
            cursor.execute(_PURGE, [now])
    return number, expires_at


def _key(bucket: Bucket) -> UUID:
    # Keyed, because addresses are personal data and there are few enough of them to try.
    digest = hmac.digest(settings.SECRET_KEY.encode(), b"keystead-attempts:" + bucket.name.encode(), "sha256")
    return UUID(bytes=digest[:16])


def _outside_transaction() -> None:
    # The test suite's own outer transaction is not a caller's.
    if len(connection.atomic_blocks) > getattr(connection, "test_atomic_blocks", 0):
        raise CountedInTransaction("count attempts before the transaction begins")
