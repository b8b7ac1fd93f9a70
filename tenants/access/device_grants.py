"""The device authorization grant (RFC 8628): an app without a browser, and a member with one.

These are apps on a screen without a keyboard, such as a dashboard. The terminals, readers and locks of an
organization do not sign in: they are enrolled (tenants.devices).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from oauthlib.oauth2.rfc8628.grant_types import DeviceCodeGrant

from engine.api.throttles import Rate, spend
from engine.clock import Clock, utc_now
from engine.errors import DomainError
from shared.accounts.rules import hash_token, new_token
from shared.accounts.selectors import User
from tenants.access import authorizations
from tenants.access.models import App, Authorization, DeviceAuthorization
from tenants.audit import services as audit

DEVICE_CODE_PREFIX = "kdc"
LIFETIME = timedelta(minutes=10)
INTERVAL_S = 5
INTERVAL_MAX_S = 60
# Without vowels, so that no code is a word, and without what looks alike (RFC 8628, section 6.1): 34 bits.
ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
USER_CODE_CHARACTERS = 8
GUESSES = Rate(limit=10, seconds=600, name="user_code")
_ATTEMPTS = 5


class UserCodeUnknown(DomainError):
    """Nobody waits for that code, or no longer."""

    code = "user_code_unknown"
    status = 400
    title = "This code is not known, or no longer good"


class TooManyGuesses(DomainError):
    """A member has typed too many codes that nobody waits for."""

    code = "too_many_attempts"
    status = 429
    title = "Too many codes"


@dataclass(frozen=True, slots=True)
class Begun:
    """The two codes of a request, shown this once."""

    device_code: str
    user_code: str


def begin(
    *,
    app: App,
    scopes: Sequence[str],
    clock: Clock = utc_now,
    choose: Callable[[str], str] = secrets.choice,
) -> Begun:
    """Make the two codes: one for the app to ask with, one for a member to type."""
    now = clock()
    DeviceAuthorization.objects.filter(app=app, expires_at__lt=now - LIFETIME).delete()
    for attempt in range(_ATTEMPTS):
        device_code = new_token(DEVICE_CODE_PREFIX)
        typed = "".join(choose(ALPHABET) for _ in range(USER_CODE_CHARACTERS))
        try:
            with transaction.atomic():
                DeviceAuthorization.objects.create(
                    app=app,
                    device_code_hash=hash_token(device_code),
                    user_code_hash=hash_token(typed),
                    scopes=list(scopes),
                    interval_s=INTERVAL_S,
                    created_at=now,
                    expires_at=now + LIFETIME,
                )
        except IntegrityError:
            # Somebody waits with the same user code.
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        break
    return Begun(device_code=device_code, user_code=f"{typed[:4]}-{typed[4:]}")


def waiting(*, user_code: str, member: User, clock: Clock = utc_now) -> DeviceAuthorization:
    """The request that waits for the code, in any spelling. Raises UserCodeUnknown, TooManyGuesses."""
    verdict = spend(key=str(member.id), rate=GUESSES)
    if not verdict.allowed:
        raise TooManyGuesses("Wait a while before you type another.", retry_after=int(verdict.retry_after) + 1)
    typed = "".join(character for character in user_code.upper() if character in ALPHABET)
    row = (
        DeviceAuthorization.objects.select_related("app")
        .filter(user_code_hash=hash_token(typed), approved=None, expires_at__gt=clock(), app__is_active=True)
        .first()
    )
    if row is None:
        raise UserCodeUnknown
    return row


def decide(
    *,
    request: DeviceAuthorization,
    member: User,
    approved: bool,
    scopes: Sequence[str],
    authenticated_at: datetime,
    mfa_at: datetime | None,
    clock: Clock = utc_now,
) -> None:
    """The member says yes or no, once. Raises UserCodeUnknown when somebody was faster, or it is too late."""
    with transaction.atomic():
        decided = DeviceAuthorization.objects.filter(id=request.id, approved=None, expires_at__gt=clock()).update(
            approved=approved,
            member=member,
            scopes=list(scopes),
            authenticated_at=authenticated_at,
            mfa_at=mfa_at,
        )
        if not decided:
            raise UserCodeUnknown
        audit.write(
            action="app.authorized" if approved else "app.authorization_denied",
            actor=member.principal,
            resource=request.app.public_id,
            detail={"scopes": list(scopes), "device_grant": True},
        )


def polled(*, app: App, device_code: str, clock: Clock = utc_now) -> tuple[str | None, DeviceAuthorization | None]:
    """How things stand for an app that asks with its device code, in oauthlib's words, and the row, locked.

    None for a code that is unknown or was used up. The latter ends nothing: an app that polls asks twice easily.
    """
    row = (
        DeviceAuthorization.objects.select_for_update()
        .filter(app=app, device_code_hash=hash_token(device_code))
        .first()
    )
    if row is None:
        return None, None
    row.app, now = app, clock()
    if row.authorization is not None:
        return None, None
    if row.expires_at <= now:
        return DeviceCodeGrant.DEVICE_CODE_EXPIRED, None
    if row.approved:
        alive = row.member is not None and row.member.state == "active"
        return (DeviceCodeGrant.DEVICE_CODE_AUTHORIZED, row) if alive else (None, None)
    if row.approved is False:
        return DeviceCodeGrant.DEVICE_CODE_DENIED, None
    hurried = row.polled_at is not None and now - row.polled_at < timedelta(seconds=row.interval_s)
    row.polled_at = now
    if hurried:
        row.interval_s = min(row.interval_s + INTERVAL_S, INTERVAL_MAX_S)
    row.save(update_fields=["polled_at", "interval_s"])
    return (DeviceCodeGrant.DEVICE_CODE_SLOW_DOWN if hurried else DeviceCodeGrant.DEVICE_CODE_PENDING), None


def redeem(row: DeviceAuthorization, *, clock: Clock = utc_now) -> Authorization:
    """What the member let the app do, from now on. The device code is used up."""
    assert row.member is not None
    assert row.authenticated_at is not None
    row.authorization = authorizations.begin(
        app=row.app,
        member=row.member,
        scopes=row.scopes,
        authenticated_at=row.authenticated_at,
        mfa_at=row.mfa_at,
        clock=clock,
    )
    row.save(update_fields=["authorization"])
    return row.authorization
