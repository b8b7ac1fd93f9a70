"""Browsers in which people have signed in before, by a cookie.

The cookie holds a token for each account that was used there, newest first. A token is one account's and
made anew for each: a cookie that somebody plants in another's browser never becomes that other one's.
"""

from __future__ import annotations

from datetime import timedelta

from engine.clock import Clock, utc_now
from shared.accounts import rules
from shared.accounts.models import KnownDevice, User, id_of

LIFETIME = timedelta(days=180)
ACCOUNTS_MAX = 4
DEVICES_MAX = 20
_SEPARATOR = "."


def find(*, user: User | None, cookie: str, clock: Clock = utc_now) -> KnownDevice | None:
    """The device that the cookie names, if it is one of the user's."""
    tokens = _tokens(cookie)
    if not tokens:
        return None
    # Asked for an unknown account too, so that the time it takes says nothing.
    found = KnownDevice.objects.filter(
        user_id=id_of(user),
        token_hash__in=[rules.hash_token(token) for token in tokens],
        last_seen_at__gt=clock() - LIFETIME,
    )
    return found.first()


def remember(*, user: User, cookie: str, clock: Clock = utc_now) -> str:
    """After a whole sign-in: the cookie that makes this browser known. Above twenty, the oldest is forgotten."""
    now, tokens = clock(), _tokens(cookie)
    known = find(user=user, cookie=cookie, clock=clock)
    if known is not None:
        KnownDevice.objects.filter(id=known.id).update(last_seen_at=now)
        own = next(token for token in tokens if rules.hash_token(token) == known.token_hash)
    else:
        own = rules.new_token(rules.DEVICE_PREFIX)
        KnownDevice.objects.create(user=user, token_hash=rules.hash_token(own), created_at=now, last_seen_at=now)
        old = KnownDevice.objects.filter(user=user).order_by("-last_seen_at").values_list("id", flat=True)
        KnownDevice.objects.filter(id__in=list(old[DEVICES_MAX:])).delete()
    return _SEPARATOR.join([own, *(token for token in tokens if token != own)][:ACCOUNTS_MAX])


def forget_all(*, user: User) -> None:
    """No browser of the user's is known any more."""
    KnownDevice.objects.filter(user=user).delete()


def _tokens(cookie: str) -> list[str]:
    parts = cookie.split(_SEPARATOR, ACCOUNTS_MAX)[:ACCOUNTS_MAX]
    return [part for part in parts if rules.looks_like_token(rules.DEVICE_PREFIX, part)]
