"""Where django-oauth-toolkit and oauthlib are fitted to this platform: named by OAUTH2_PROVIDER in the settings.

They bring the state machine of the grants, in the order that the RFCs want. What is stored, locked and signed is
ours (authorizations, device_grants, signing). A token request runs in one transaction, so that a lock that is
taken while it is looked at holds until its answer is written.
"""

from __future__ import annotations

import hmac
import re
from datetime import timedelta
from typing import Any

import structlog
from django.utils import timezone
from oauth2_provider.models import AccessToken
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.scopes import BaseScopes
from oauthlib.oauth2.rfc6749 import errors
from oauthlib.oauth2.rfc6749.endpoints import TokenEndpoint
from oauthlib.oauth2.rfc6749.grant_types import (
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    RefreshTokenGrant,
)
from oauthlib.oauth2.rfc6749.tokens import BearerToken
from oauthlib.oauth2.rfc8628.grant_types import DeviceCodeGrant

from engine import ids
from engine.tenancy.context import current_organization
from shared.accounts.rules import hash_token
from tenants.access import assertions, authorizations, device_grants, scopes
from tenants.access.models import App, Authorization
from tenants.access.permissions import PERMISSIONS
from tenants.access.rules import AuthMethod, GrantType
from tenants.access.signing import sign_access_token, sign_id_token
from tenants.access.tokens import AUTHORIZATION

log = structlog.get_logger("keystead.access")

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")


class GrantedScopes(BaseScopes):
    """Scopes are permissions. An app may ask for those that its roles allow, and gets them all if it does not
    say; for a member's it asks by name."""

    def get_all_scopes(self) -> dict[str, str]:
        """Every scope with its meaning."""
        return {**scopes.IDENTITY, **{one.name: one.meaning for one in PERMISSIONS.values()}}

    def get_available_scopes(
        self, application: App | None = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        """What this app may ask for in this request, sorted."""
        if application is None:
            return []
        if request is not None and request.grant_type != GrantType.CLIENT_CREDENTIALS:
            return sorted(scopes.lendable(application))
        return scopes.held(application)

    def get_default_scopes(
        self, application: App | None = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        """All that it has, for an app that acts by itself. Nobody lends what was not named."""
        if request is None or request.grant_type != GrantType.CLIENT_CREDENTIALS:
            return []
        return self.get_available_scopes(application=application, request=request)


class AccessValidator(OAuth2Validator):
    """Holds what clients send against this organization's rows."""

    # --- Who is it? ---------------------------------------------------------------------------

    def client_authentication_required(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        """Always, but for apps that have nothing to show and show nothing."""
        if getattr(request, "client_assertion", None):
            return True
        return bool(super().client_authentication_required(request, *args, **kwargs))

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        """By the one method that the app was registered with, and by no two at once (RFC 6749, section 2.3)."""
        assertion = getattr(request, "client_assertion", None)
        if assertion:
            return self._authenticate_assertion(request, assertion)
        if request.client_secret and self._extract_basic_auth(request):
            return False
        found = super().authenticate_client(request, *args, **kwargs)
        return bool(found) and request.client.auth_method == AuthMethod.SECRET

    def authenticate_client_id(self, client_id: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        """An app that cannot keep a secret says its name; PKCE and the redirect URI have to do."""
        app = self._load_application(client_id, request)
        return app is not None and app.auth_method == AuthMethod.NONE

    def _authenticate_assertion(self, request: Any, assertion: str) -> bool:
        if request.client_secret or self._extract_basic_auth(request):
            return False
        if getattr(request, "client_assertion_type", None) != assertions.ASSERTION_TYPE:
            return False
        try:
            app = assertions.app_of(assertion)
        except assertions.AssertionRefused as error:
            log.info("access.assertion_refused", why=str(error))
            return False
        if request.client_id not in {None, "", app.client_id}:
            return False
        request.client = app
        return True

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

    # --- What may it ask for? -----------------------------------------------------------------

    def validate_grant_type(
        self, client_id: str, grant_type: str, client: App, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        """Those that it was registered for; refreshing goes with every grant that gives a refresh token."""
        if grant_type == GrantType.REFRESH_TOKEN:
            return bool({GrantType.AUTHORIZATION_CODE, GrantType.DEVICE_CODE} & set(client.grant_types))
        return grant_type in client.grant_types

    def validate_response_type(
        self, client_id: str, response_type: str, client: App, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        """A code and nothing else."""
        return response_type == "code" and GrantType.AUTHORIZATION_CODE in client.grant_types

    def validate_scopes(
        self, client_id: str, scopes: list[str], client: App, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        """Those that it may ask for; at least one, where a member lends them."""
        if not scopes and request.grant_type != GrantType.CLIENT_CREDENTIALS:
            return False
        return bool(super().validate_scopes(client_id, scopes, client, request, *args, **kwargs))

    def _validate_resource_uris(self, request: Any, resources: list[str]) -> None:
        if any(resource != current_organization().issuer for resource in resources):
            raise errors.CustomOAuth2Error(
                error="invalid_target",
                description="Tokens are for this organization's API only.",
                request=request,
            )

    # --- Codes and refresh tokens -------------------------------------------------------------

    def is_pkce_required(self, client_id: str, request: Any) -> bool:
        """For every app, whether or not it can keep a secret."""
        return True

    def validate_code(self, client_id: str, code: str, client: App, request: Any, *args: Any, **kwargs: Any) -> bool:
        """Whether the code is this app's and good; locks it."""
        row = authorizations.presented_code(app=client, code=code)
        if row is None:
            return False
        request.code_row, request.user, request.scopes = row, row.member, row.scopes
        return True

    def get_code_challenge(self, code: str, request: Any) -> str:
        """What the code was asked for with."""
        return str(request.code_row.code_challenge)

    def get_code_challenge_method(self, code: str, request: Any) -> str:
        """The one that there is."""
        return "S256"

    def confirm_redirect_uri(
        self, client_id: str, code: str, redirect_uri: str, client: App, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        """The very one that the code was sent to."""
        return bool(redirect_uri == request.code_row.redirect_uri)

    def invalidate_authorization_code(self, client_id: str, code: str, request: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing is left to do: the code was used up with the making of the token."""

    def validate_refresh_token(self, refresh_token: str, client: App, request: Any, *args: Any, **kwargs: Any) -> bool:
        """Whether the refresh token is this app's and good; locks its family."""
        shown = authorizations.presented(app=client, token=refresh_token)
        if shown is None:
            return False
        request.shown, request.user = shown, shown.authorization.member
        return True

    def get_original_scopes(self, refresh_token: str, request: Any, *args: Any, **kwargs: Any) -> list[str]:
        """What the member lent, as far as the app may still ask for it."""
        lendable = scopes.lendable(request.client)
        return [scope for scope in request.shown.authorization.scopes if scope in lendable]

    def validate_device_code(self, client_id: str, device_code: str, request: Any) -> str | None:
        """How things stand with the device code, in oauthlib's words."""
        status, row = device_grants.polled(app=request.client, device_code=device_code)
        if row is not None:
            request.device_row, request.user, request.scopes = row, row.member, row.scopes
        return status

    # --- Tokens ---------------------------------------------------------------------------------

    def _save_bearer_token(self, token: dict[str, Any], request: Any, *args: Any, **kwargs: Any) -> None:
        resource = getattr(request, "resource", None)
        self._validate_resource_uris(request, [resource] if isinstance(resource, str) else list(resource or ()))
        now = timezone.now()
        row = AccessToken(
            user=request.authorization.member if request.authorization else None,
            application=request.client,
            scope=token["scope"],
            expires=now + timedelta(seconds=token["expires_in"]),
        )
        self._set_token_value(row, token["access_token"])
        row.save()
        # Expired rows would otherwise pile up for ever; an app cleans up after itself.
        AccessToken.objects.filter(application=request.client, expires__lt=now).delete()


class Tokens(BearerToken):
    """What a token request is answered with."""

    def create_token(self, request: Any, refresh_token: bool = False, **kwargs: Any) -> Any:
        """Use up what the app has shown, and sign what comes of it."""
        request.authorization = _authorization(request)
        token = super().create_token(request, refresh_token=False)
        if request.authorization is None:
            return token
        if request.authorization.sealed_chain_key is not None:
            token["refresh_token"] = authorizations.refresh_token(request.authorization)
        if scopes.OPENID in request.scopes and request.grant_type != GrantType.REFRESH_TOKEN:
            token["id_token"] = _id_token(request, token["access_token"])
        return token


class S256Only(AuthorizationCodeGrant):
    """The code grant with the one PKCE method that hides the verifier."""

    _code_challenge_methods = {"S256": AuthorizationCodeGrant._code_challenge_methods["S256"]}

    def validate_code_challenge(self, challenge: str, challenge_method: str, verifier: str) -> bool:
        """Whether the verifier has the form of RFC 7636, section 4.1, and is the challenge's."""
        return bool(_VERIFIER.match(verifier)) and bool(
            super().validate_code_challenge(challenge, challenge_method, verifier)
        )


class TokenServer(TokenEndpoint):
    """A token endpoint that knows these grants and nothing else."""

    def __init__(
        self,
        request_validator: Any,
        token_expires_in: Any = None,
        token_generator: Any = None,
        refresh_token_generator: Any = None,
        **kwargs: Any,
    ) -> None:
        self.request_validator = request_validator
        TokenEndpoint.__init__(
            self,
            default_grant_type=GrantType.CLIENT_CREDENTIALS.value,
            default_token_type=Tokens(request_validator, token_generator, token_expires_in),
            grant_types={
                GrantType.CLIENT_CREDENTIALS.value: ClientCredentialsGrant(request_validator),
                GrantType.AUTHORIZATION_CODE.value: S256Only(request_validator),
                GrantType.REFRESH_TOKEN.value: RefreshTokenGrant(request_validator),
                GrantType.DEVICE_CODE.value: DeviceCodeGrant(request_validator),
            },
        )


def new_access_token(request: Any, refresh_token: bool = False) -> str:
    """ACCESS_TOKEN_GENERATOR: a signed at+jwt for the client that has just authenticated."""
    authorization: Authorization | None = request.authorization
    client_id = request.client.client_id
    return sign_access_token(
        subject=authorization.member.public_id if authorization else client_id,
        client_id=client_id,
        scopes=list(request.scopes or ()),
        lifetime=timedelta(seconds=request.expires_in),
        more={
            AUTHORIZATION: authorization.public_id,
            "auth_time": int(authorization.authenticated_at.timestamp()),
        }
        if authorization
        else None,
    )


def _authorization(request: Any) -> Authorization | None:
    """What a member lets the app do, when it is a member who does."""
    if request.grant_type == GrantType.AUTHORIZATION_CODE:
        return authorizations.redeem(request.code_row)
    if request.grant_type == GrantType.DEVICE_CODE:
        return device_grants.redeem(request.device_row)
    if request.grant_type == GrantType.REFRESH_TOKEN:
        return authorizations.advance(request.shown)
    return None


def _id_token(request: Any, access_token: str) -> str:
    authorization: Authorization = request.authorization
    row = getattr(request, "code_row", None)
    return sign_id_token(
        subject=authorization.member.public_id,
        client_id=request.client.client_id,
        authenticated_at=authorization.authenticated_at,
        access_token=access_token,
        nonce=row.nonce if row is not None else "",
        more=identity_claims(authorization.member, request.scopes),
    )


def identity_claims(member: Any, granted: Any) -> dict[str, str]:
    """What the scopes `profile` and `email` tell of a member."""
    claims = {}
    if "profile" in granted and member.display_name:
        claims["name"] = member.display_name
    if "email" in granted:
        claims["email"] = member.email
    return claims
