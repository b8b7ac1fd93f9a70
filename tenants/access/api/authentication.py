"""Recognises the bearer of an access token: an app, a member who lets one act, or an operator who looks in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from rest_framework.permissions import SAFE_METHODS

from engine.tenancy.context import NoOrganization
from shared.accounts.api.authentication import (
    BearerAuthentication,
    Caller,
    Impersonated,
    bearer_token,
    invalid_token,
)
from tenants.access import impersonation, signing, tokens

log = structlog.get_logger("keystead.access")


class AppTokenAuthentication(BearerAuthentication):
    """`Authorization: Bearer <at+jwt>`. The last class: a bearer token that nobody knows is refused.

    The signature says that the token is ours, the row that it still holds: tokens of a deactivated
    app, of a secret that was rotated away, or of an authorization that was taken back, are gone at once.
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
        if impersonation.ACTOR in claims:
            return self._operator(request, token, claims)
        found = tokens.living(token=token, claims=claims)
        if found is None:
            log.info("access.token_refused", why="revoked")
            raise invalid_token()
        return Caller(principal=found.principal), token

    def _operator(self, request: Any, token: str, claims: Mapping[str, Any]) -> tuple[Caller, str]:
        """Platform staff who look in. What may change something is in the audit log before it is served."""
        row = impersonation.living(token=token, claims=claims)
        if row is None:
            log.info("access.token_refused", why="the impersonation is over")
            raise invalid_token()
        principal = impersonation.principal_of(row)
        if request.method not in SAFE_METHODS:
            route = request.resolver_match.route
            impersonation.announce(row=row, principal=principal, method=request.method, route=route)
        told = Impersonated(
            id=row.public_id, operator=principal.public_id, role=row.role, reason=row.reason, expires_at=row.expires_at
        )
        return Caller(principal=principal, impersonation=told), token
