"""Access tokens that have been given out: whose they are, whether they still hold, and their end.

The signature says that a token is ours, its row that it still holds, and for a member's the authorization that
it came of: two queries for an app's own token, three for one that a member has lent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from oauth2_provider.models import AccessToken

from engine import ids
from engine.clock import Clock, utc_now
from engine.principals import Principal
from shared.accounts.rules import hash_token
from tenants.access import authorizations, signing
from tenants.access.models import App, Authorization

AUTHORIZATION = "authorization_id"
"""The claim that names the authorization which a member's token came of."""


@dataclass(frozen=True, slots=True)
class Living:
    """An access token that holds."""

    app: App
    principal: Principal
    claims: Mapping[str, Any]
    row_id: int


def living(*, token: str, claims: Mapping[str, Any], clock: Clock = utc_now) -> Living | None:
    """The token whose signature was verified, None when it no longer holds."""
    row = (
        AccessToken.objects.select_related("application", "user")
        .filter(token_checksum=hash_token(token), application__is_active=True)
        .first()
    )
    if row is None or row.application.client_id != claims["client_id"]:
        return None
    principal = _app(row, claims) if row.user is None else _member(row, claims, clock)
    if principal is None:
        return None
    return Living(app=row.application, principal=principal, claims=claims, row_id=row.pk)


def introspect(*, token: str, by: App, sees_all: bool, clock: Clock = utc_now) -> dict[str, Any] | None:
    """What RFC 7662 tells about a token that holds; None for every other, and for one that is not `by`'s own
    unless it `sees_all`."""
    if token.startswith(f"{authorizations.REFRESH_PREFIX}_"):
        return _introspected_refresh(token=token, by=by, sees_all=sees_all, clock=clock)
    found = _read(token, clock)
    if found is None or (found.app.id != by.id and not sees_all):
        return None
    named = ("scope", "client_id", "sub", "aud", "iss", "exp", "iat", "jti")
    return {"token_type": "Bearer", **{name: found.claims[name] for name in named}}


def revoke(*, token: str, by: App, clock: Clock = utc_now) -> None:
    """End a token of the app's own (RFC 7009): an access token alone, a refresh token with its family.

    A token that is unknown, over or another's is none of its business, and nothing happens.
    """
    if token.startswith(f"{authorizations.REFRESH_PREFIX}_"):
        family = authorizations.by_refresh_token(token=token, clock=clock)
        if family is not None and family.app_id == by.id:
            authorizations.revoke(family, reason="app", by=by.principal, clock=clock)
        return
    AccessToken.objects.filter(token_checksum=hash_token(token), application=by).delete()


def _app(row: AccessToken, claims: Mapping[str, Any]) -> Principal | None:
    app = row.application
    if claims["sub"] != app.client_id:
        return None
    return Principal(kind="app", id=app.id, display=app.name, scopes=_scopes(claims))


def _member(row: AccessToken, claims: Mapping[str, Any], clock: Clock) -> Principal | None:
    authorization_id = _authorization_id(claims)
    if authorization_id is None or claims["sub"] != row.user.public_id:
        return None
    mine = Authorization.objects.living(at=clock()).filter(app=row.application, member=row.user)
    authorization = mine.filter(id=authorization_id).first()
    if authorization is None:
        return None
    return Principal(
        kind="member",
        id=row.user.id,
        display=f"{row.user.principal.display} (through {row.application.name})",
        scopes=_scopes(claims),
        authenticated_at=authorization.authenticated_at,
        mfa_at=authorization.mfa_at,
        through=row.application.client_id,
    )


def _authorization_id(claims: Mapping[str, Any]) -> UUID | None:
    try:
        return ids.decode(Authorization.id_prefix, str(claims.get(AUTHORIZATION, "")))
    except ids.InvalidId:
        return None


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(str(claims["scope"]).split())


def _read(token: str, clock: Clock) -> Living | None:
    try:
        claims = signing.read_access_token(token, clock=clock)
    except signing.TokenInvalid:
        return None
    return living(token=token, claims=claims, clock=clock)


def _introspected_refresh(*, token: str, by: App, sees_all: bool, clock: Clock) -> dict[str, Any] | None:
    family = authorizations.by_refresh_token(token=token, clock=clock)
    if family is None or (family.app_id != by.id and not sees_all):
        return None
    if not authorizations.is_current(authorization=family, token=token, clock=clock):
        return None
    return {
        "scope": " ".join(family.scopes),
        "client_id": family.app.client_id,
        "sub": family.member.public_id,
        "exp": int(family.expires_at.timestamp()),
        "iat": int((family.rotated_at or family.created_at).timestamp()),
    }
