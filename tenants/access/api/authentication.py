"""Recognises the bearer of an app's access token."""

from __future__ import annotations

from typing import Any

import structlog
from oauth2_provider.models import AccessToken

from engine.principals import Principal
from engine.tenancy.context import NoOrganization
from shared.accounts.api.authentication import (
    BearerAuthentication,
    Caller,
    bearer_token,
    invalid_token,
)
from shared.accounts.rules import hash_token
from tenants.access import signing

log = structlog.get_logger("keystead.access")


class AppTokenAuthentication(BearerAuthentication):
    """`Authorization: Bearer <at+jwt>`. The last class: a bearer token that nobody knows is refused.

    The signature says that the token is ours, the row that it still holds: tokens of a deactivated
    app, or of a secret that was rotated away, are gone at once. Two queries.
    """

    def authenticate(self, request: Any) -> tuple[Caller, str] | None:
        """The caller, or None without a bearer token. Raises AuthenticationFailed."""
        token = bearer_token(request)
        if token is None:
            return None
        try:
            claims = signing.read_access_token(token)
        except (signing.TokenInvalid, NoOrganization) as error:
            log.info("access.token_refused", why=str(error))
            raise invalid_token() from error
        row = (
            AccessToken.objects.select_related("application")
            .filter(token_checksum=hash_token(token), application__is_active=True)
            .first()
        )
        if row is None or row.application.client_id != claims["client_id"]:
            log.info("access.token_refused", why="revoked")
            raise invalid_token()
        principal = Principal(
            kind="app",
            id=row.application.id,
            display=row.application.name,
            scopes=frozenset(str(claims["scope"]).split()),
        )
        return Caller(principal=principal), token
