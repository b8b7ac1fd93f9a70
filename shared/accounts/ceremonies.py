"""What takes two requests. Between them stands a row: the token that the caller brings back is shown once, and
guesses under it are counted in the same statement that allows them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db.models import F

from engine import ids
from engine.clock import Clock, utc_now
from engine.errors import DomainError
from shared.accounts import rules
from shared.accounts.models import Ceremony, User

ATTEMPTS_MAX = 5
# Longer than any lifetime: what is over stays a while for whoever looks into an attack.
_KEPT = timedelta(days=7)
_PURGE_ONCE_IN = 50


class Purpose(StrEnum):
    """What a ceremony is for. A token of one is nothing to another."""

    SECOND_FACTOR = "second_factor"
    PASSKEY_REGISTRATION = "passkey_registration"
    PASSKEY = "passkey"
    FEDERATION = "federation"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - the name of a purpose


class CeremonyOver(DomainError):
    """The token is unknown, expired, used, or its attempts are used up: which one is not told."""

    code = "sign_in_expired"
    status = 401
    title = "This has to be started again"


def begin(
    *,
    purpose: Purpose,
    user: User | None,
    lifetime: timedelta,
    data: Mapping[str, Any] | None = None,
    token: tuple[UUID, str] | None = None,
    clock: Clock = utc_now,
) -> tuple[Ceremony, str]:
    """A new ceremony and its token, which is not kept. `token` is the row's id with the token that follows from
    it, for one that a mail brings."""
    now = clock()
    row_id, shown = token or (ids.uuid7(), rules.new_token(rules.CEREMONY_PREFIX))
    if secrets.randbelow(_PURGE_ONCE_IN) == 0:
        _purge(before=now - _KEPT)
    row = Ceremony.objects.create(
        purpose=purpose,
        user=user,
        id=row_id,
        token_hash=rules.hash_token(shown),
        data=dict(data or {}),
        created_at=now,
        expires_at=now + lifetime,
    )
    return row, shown


def attempt(*, token: str, purpose: Purpose, clock: Clock = utc_now) -> Ceremony:
    """Count an attempt under the token, and return its ceremony with the user. Raises CeremonyOver.

    One statement counts and allows, so of many at the same moment no more than five are let through.
    """
    living = Ceremony.objects.filter(
        token_hash=rules.hash_token(token),
        purpose=purpose,
        ended_at=None,
        expires_at__gt=clock(),
    )
    if not living.filter(attempts__lt=ATTEMPTS_MAX).update(attempts=F("attempts") + 1):
        raise CeremonyOver
    row = Ceremony.objects.select_related("user").filter(token_hash=rules.hash_token(token)).first()
    if row is None or (row.user is not None and row.user.state != "active"):
        raise CeremonyOver
    return row


def end(ceremony: Ceremony, *, clock: Clock = utc_now) -> None:
    """Use it up. Of two at the same moment one gets CeremonyOver."""
    if not Ceremony.objects.filter(id=ceremony.id, ended_at=None).update(ended_at=clock()):
        raise CeremonyOver


def end_all(*, user: User | None = None, clock: Clock = utc_now) -> None:
    """End every open ceremony of the user, or of everybody."""
    rows = Ceremony.objects.filter(ended_at=None)
    (rows.filter(user=user) if user is not None else rows).update(ended_at=clock())


def _purge(*, before: datetime) -> None:
    old = Ceremony.objects.filter(expires_at__lt=before).values_list("id", flat=True)
    Ceremony.objects.filter(id__in=list(old[:500])).delete()
