"""Sessions: opening, recognising and ending them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.db import transaction

from engine.clock import Clock, utc_now
from engine.errors import NotFound
from engine.principals import Principal
from shared.accounts import ceremonies, journal, known_devices, rules, selectors
from shared.accounts.models import Session, User

SESSION_LIFETIME = timedelta(hours=12)
# Coarse on purpose: a write per request would cost more than the figure is worth.
SEEN_INTERVAL = timedelta(minutes=5)


def open_session(
    *,
    user: User,
    methods: Iterable[str],
    address: str | None,
    user_agent: str,
    clock: Clock = utc_now,
) -> tuple[Session, str]:
    """A session of somebody who has proven everything that was asked; `methods` (RFC 8176) say how.

    Two of them are a second factor. Returns it with its bearer token, which is not kept.
    """
    now, token, shown = clock(), rules.new_token(rules.SESSION_PREFIX), sorted(set(methods))
    with transaction.atomic():
        session = Session.objects.create(
            user=user,
            token_hash=rules.hash_token(token),
            created_at=now,
            expires_at=now + SESSION_LIFETIME,
            last_seen_at=now,
            address=address,
            user_agent=user_agent[:200],
            methods=" ".join(shown),
            authenticated_at=now,
            mfa_at=now if rules.is_multi_factor(shown) else None,
        )
        User.objects.filter(id=user.id).update(last_login=now)
        journal.record(
            action="session.created",
            user=user,
            detail={"session": session.public_id, "methods": session.methods, "address": address},
            clock=clock,
        )
    return session, token


def authenticate(*, token: str, clock: Clock = utc_now) -> Session | None:
    """The living session of the token with its user, or None. One query.

    `session.lacks_mfa` says that the policy asks for a second factor which this session has not shown.
    """
    if not rules.looks_like_token(rules.SESSION_PREFIX, token):
        return None
    now = clock()
    found = Session.objects.alive(at=now).select_related("user")
    asked = found.annotate(policy_asks=selectors.asks_for_mfa())
    session = asked.filter(token_hash=rules.hash_token(token)).first()
    if session is None:
        return None
    session.lacks_mfa = bool(session.policy_asks) and session.mfa_at is None
    if now - session.last_seen_at >= SEEN_INTERVAL:
        Session.objects.filter(id=session.id).update(last_seen_at=now)
        session.last_seen_at = now
    return session


def sign_out(*, session: Session, by: Principal | None = None, clock: Clock = utc_now) -> None:
    """Revoke one session. Its token is dead from the next request on."""
    with transaction.atomic():
        if Session.objects.filter(id=session.id, revoked_at=None).update(revoked_at=clock()):
            journal.record(
                action="session.revoked", user=session.user, by=by, detail={"session": session.public_id}, clock=clock
            )


def sign_out_everywhere(*, user: User, but: UUID | None = None, clock: Clock = utc_now) -> int:
    """Revoke every session of the user, `but` one if it is named; returns how many there were."""
    rows = Session.objects.filter(user=user, revoked_at=None)
    return (rows.exclude(id=but) if but else rows).update(revoked_at=clock())


def sign_out_elsewhere(*, session: Session, clock: Clock = utc_now) -> None:
    """End every other session of its owner, and forget the browsers that are known."""
    with transaction.atomic():
        ended = sign_out_everywhere(user=session.user, but=session.id, clock=clock)
        known_devices.forget_all(user=session.user)
        journal.record(action="session.revoked", user=session.user, detail={"others": ended}, clock=clock)


def sign_everybody_out(*, clock: Clock = utc_now) -> int:
    """Revoke every session of the present schema; returns how many there were. After a restore: those that were
    ended since the backup would live again, and so would resets that have been used."""
    ceremonies.end_all(clock=clock)
    return Session.objects.filter(revoked_at=None).update(revoked_at=clock())


def own_session(*, user_id: UUID, session_id: UUID) -> Session:
    """A session by id, if it is the user's own. Raises NotFound."""
    session = Session.objects.select_related("user").filter(id=session_id, user_id=user_id).first()
    if session is None:
        raise NotFound
    return session
