"""Passwords anew: forgotten ones by a mail, others by their owner."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db import transaction

from engine import ids
from engine.clock import Clock, utc_now
from shared.accounts import ceremonies, derived, journal, mails, passwords, rules, second_factors, sessions
from shared.accounts.ceremonies import CeremonyOver, Purpose
from shared.accounts.models import Ceremony, Session, User, id_of, principal_kind

LIFETIME = timedelta(hours=1)
# An earlier mail stays good, so whoever asks in another's name takes nothing from them.
OPEN_MAX = 3

_end_what_was_lent: Callable[[User, Clock], None] | None = None


def set_ender(end: Callable[[User, Clock], None]) -> None:
    """Install what ends a member's authorizations of apps, once, at start: they lie above accounts."""
    global _end_what_was_lent
    _end_what_was_lent = end


def request(*, email: str, clock: Clock = utc_now) -> None:
    """Write to the account's owner, if there is such an account; the caller is not told.

    The same rows are written for an address that nobody has, and the mail goes out later: no time tells.
    """
    user = User.objects.with_email(email).first()
    if user is not None and user.state != "active":
        user = None
    now, row_id = clock(), ids.uuid7()
    wanted = Ceremony.objects.filter(purpose=Purpose.PASSWORD_RESET, ended_at=None, expires_at__gt=now)
    already = wanted.filter(user_id=id_of(user)).count()
    with transaction.atomic():
        ceremonies.begin(
            purpose=Purpose.PASSWORD_RESET,
            user=user if already < OPEN_MAX else None,
            lifetime=LIFETIME,
            token=(row_id, derived.token(rules.CEREMONY_PREFIX, row_id)),
            clock=clock,
        )
        mails.post(kind=mails.Kind.PASSWORD_RESET, about=row_id)


def confirm(*, token: str, password: str, clock: Clock = utc_now) -> User:
    """Set a new password by the token of the mail. Every session ends, and what a member let apps do; second
    factors stay and are asked for.

    Raises CeremonyOver, WeakPassword.
    """
    ceremony = ceremonies.attempt(token=token, purpose=Purpose.PASSWORD_RESET, clock=clock)
    user = ceremony.user
    if user is None:
        raise CeremonyOver
    passwords.check(password=password, user=user)
    with transaction.atomic():
        ceremonies.end(ceremony, clock=clock)
        _set(user, password, action="password.reset", keep=None, clock=clock)
        if _end_what_was_lent is not None and principal_kind() == "member":
            _end_what_was_lent(user, clock)
    return user


def change(*, session: Session, password: str, clock: Clock = utc_now) -> None:
    """Set another password; every other session ends. Raises StepUpRequired, WeakPassword."""
    second_factors.require_fresh(session, clock=clock)
    passwords.check(password=password, user=session.user)
    with transaction.atomic():
        _set(session.user, password, action="password.changed", keep=session, clock=clock)


def _set(user: User, password: str, *, action: str, keep: Session | None, clock: Clock) -> None:
    user.set_password(password)
    user.save(update_fields=["password"])
    sessions.sign_out_everywhere(user=user, but=keep.id if keep else None, clock=clock)
    ceremonies.end_all(user=user, clock=clock)
    journal.record(action=action, user=user, clock=clock)
    mails.post(kind=mails.Kind.PASSWORD_CHANGED, about=user.id)
