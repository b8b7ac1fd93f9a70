"""Where django-oauth-toolkit is fitted to this platform: named by OAUTH2_PROVIDER in the settings.

The toolkit brings the tables and the state machine of the grants; the tokens are ours (RFC 9068).
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Any

from django.utils import timezone
from oauth2_provider.models import AccessToken
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.scopes import BaseScopes
from oauthlib.oauth2.rfc6749 import errors
from oauthlib.oauth2.rfc6749.endpoints import TokenEndpoint
from oauthlib.oauth2.rfc6749.grant_types import ClientCredentialsGrant
from oauthlib.oauth2.rfc6749.tokens import BearerToken

from engine import ids
from engine.tenancy.context import current_organization
from shared.accounts.rules import hash_token
from tenants.access import rules, selectors
from tenants.access.models import App
from tenants.access.permissions import PERMISSIONS
from tenants.access.signing import sign_access_token


class GrantedScopes(BaseScopes):
    """Scopes are permissions; an app may ask for those that its roles allow, and gets them all if it
    does not say."""

    def get_all_scopes(self) -> dict[str, str]:
        """Every permission with its meaning."""
        return {one.name: one.meaning for one in PERMISSIONS.values()}

    def get_available_scopes(
        self, application: App | None = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        """What the app's roles allow somewhere, sorted."""
        if application is None:
            return []
        return sorted(rules.held_permissions(selectors.grants_of(application.principal)))

    def get_default_scopes(
        self, application: App | None = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        """The same: a client that names no scope wants what it has."""
        return self.get_available_scopes(application=application, request=request)


class AccessValidator(OAuth2Validator):
    """Holds what clients send against this organization's rows."""

    def _authenticate_basic_auth(self, request: Any) -> bool:
        try:
            return bool(super()._authenticate_basic_auth(request))
        except ValueError:
            # The toolkit's b64decode lets text outside ASCII through to here.
            return False

    def _load_application(self, client_id: Any, request: Any) -> App | None:
        # Nothing but an id of ours reaches the database: no NUL, no metadata-document URL.
        try:
            ids.decode(App.id_prefix, client_id or "")
        except (ids.InvalidId, AttributeError):
            return None
        app: App | None = super()._load_application(client_id, request)
        return app

    def _check_secret(self, provided_secret: str, stored_secret: str) -> bool:
        return hmac.compare_digest(hash_token(provided_secret), stored_secret)

    def _validate_resource_uris(self, request: Any, resources: list[str]) -> None:
        if any(resource != current_organization().issuer for resource in resources):
            raise errors.CustomOAuth2Error(
                error="invalid_target",
                description="Tokens are for this organization's API only.",
                request=request,
            )

    def _save_bearer_token(self, token: dict[str, Any], request: Any, *args: Any, **kwargs: Any) -> None:
        super()._save_bearer_token(token, request, *args, **kwargs)
        # Expired rows would otherwise pile up for ever; an app cleans up after itself.
        AccessToken.objects.filter(application=request.client, expires__lt=timezone.now()).delete()


class TokenServer(TokenEndpoint):
    """A token endpoint that knows the client credentials grant and nothing else."""

    def __init__(
        self,
        request_validator: Any,
        token_expires_in: Any = None,
        token_generator: Any = None,
        refresh_token_generator: Any = None,
        **kwargs: Any,
    ) -> None:
        bearer = BearerToken(request_validator, token_generator, token_expires_in, refresh_token_generator)
        TokenEndpoint.__init__(
            self,
            default_grant_type="client_credentials",
            default_token_type=bearer,
            grant_types={"client_credentials": ClientCredentialsGrant(request_validator)},
        )


def new_access_token(request: Any, refresh_token: bool = False) -> str:
    """ACCESS_TOKEN_GENERATOR: a signed at+jwt for the client that has just authenticated."""
    return sign_access_token(
        client_id=request.client.client_id,
        scopes=list(request.scopes or ()),
        lifetime=timedelta(seconds=request.expires_in),
    )
