"""Reads of accounts for the apps above, which do not import our models."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Exists, QuerySet

from engine.errors import NotFound
from shared.accounts.models import Passkey, Session, SessionQuerySet, SignInPolicy, User, UserQuerySet

__all__ = [
    "Session",
    "User",
    "asks_for_mfa",
    "has_active_user",
    "open_sessions",
    "passkeys",
    "user",
    "user_by_email",
    "users",
]


def users() -> UserQuerySet:
    """Every account of the present context: members, or operators."""
    return User.objects.all()


def user(*, user_id: UUID) -> User:
    """One account. Raises NotFound."""
    found = User.objects.filter(id=user_id).first()
    if found is None:
        raise NotFound
    return found


def user_by_email(*, email: str) -> User | None:
    """The account with the address, in any spelling."""
    return User.objects.with_email(email).first()


def has_active_user(*, user_ids: Iterable[UUID]) -> bool:
    """Whether at least one of the accounts can sign in."""
    return any(one.state == "active" for one in User.objects.filter(id__in=user_ids))


def asks_for_mfa() -> Exists:
    """Whether everybody needs a second factor here, as a condition of a query."""
    return Exists(SignInPolicy.objects.filter(mfa_required=True))


def passkeys(*, user_id: UUID) -> QuerySet[Passkey]:
    """The user's passkeys."""
    return Passkey.objects.filter(user_id=user_id)


def open_sessions(*, user_id: UUID) -> SessionQuerySet:
    """The user's sessions that were not revoked, whether or not they have expired."""
    return Session.objects.filter(user_id=user_id, revoked_at=None)
