"""The organization as an OAuth 2.0 and OpenID Connect server, for programs. Its pages are in `authorize_pages`.

They answer as their RFCs say: an error has `error`, also where it is a problem of ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.http import HttpResponse
from oauth2_provider.views.mixins import OAuthLibMixin
from oauthlib.common import Request as OAuthRequest
from oauthlib.oauth2.rfc6749.errors import OAuth2Error
from oauthlib.oauth2.rfc6749.grant_types.base import GrantTypeBase
from oauthlib.oauth2.rfc8628.grant_types import DeviceCodeGrant
from rest_framework.parsers import FormParser
from rest_framework.response import Response

from engine.api.access import PUBLIC, SIGNED_IN
from engine.api.throttles import Rate
from engine.api.views import APIView, Request, operation
from engine.errors import DomainError
from engine.tenancy.context import current_organization
from shared.accounts import selectors as accounts
from tenants.access import assertions, device_grants, oauth, scopes, signing, tokens
from tenants.access.api.oauth_serializers import (
    DeviceAuthorizationBody,
    DeviceAuthorizationRequest,
    IntrospectionBody,
    KeySet,
    OAuthError,
    ServerMetadata,
    TokenBody,
    TokenForm,
    TokenRequest,
    UserInfoBody,
)
from tenants.access.deciding import check
from tenants.access.models import App
from tenants.access.rules import AuthMethod, GrantType

DOCUMENTATION = "https://docs.keystead.dev/access"
TOKEN_RATE = Rate(limit=300, seconds=60, name="token")
INTROSPECTION_RATE = Rate(limit=1200, seconds=60, name="introspection")
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
REFUSALS = {400: OAuthError, 401: OAuthError}
FORM = "application/x-www-form-urlencoded"
_ERRORS = {429: "temporarily_unavailable", 503: "temporarily_unavailable", 500: "server_error"}


class NotAForm(DomainError):
    """The body is not what the RFCs want, or says something twice."""

    code = "invalid_form"
    status = 400
    title = "The request is not a form with each field once"


class InsufficientScope(DomainError):
    """RFC 6750, section 3.1."""

    code = "insufficient_scope"
    status = 403
    title = "The token was not given for this"


class ClientEndpoint(OAuthLibMixin, APIView):
    """Where an app shows who it is in a form."""

    permission = PUBLIC
    authentication_classes = []
    parser_classes = [FormParser]
    rate = TOKEN_RATE

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Refuse what two readers could understand in two ways."""
        super().initial(request, *args, **kwargs)
        if request.content_type.partition(";")[0].strip().lower() != FORM:
            raise NotAForm(f"Send {FORM}.")
        for name, values in request._request.POST.lists():
            if len(values) > 1 and name != "resource":
                raise NotAForm(f"{name[:64]!r} is there twice.", field=name[:64])
            if any("\x00" in value for value in values):
                raise NotAForm("There is a NUL in it.", field=name[:64])

    def handle_exception(self, exc: Exception) -> Any:
        """A problem document, with the members that an OAuth client looks for."""
        answer = super().handle_exception(exc)
        body = json.loads(answer.content)
        body["error"] = _ERRORS.get(answer.status_code, "invalid_request")
        body["error_description"] = body.get("detail") or body["title"]
        kept = {name: value for name, value in answer.items() if name != "Content-Type"}
        return HttpResponse(json.dumps(body), status=answer.status_code, headers=kept, content_type="application/json")

    def for_client(self, request: Request, act: Callable[[App, OAuthRequest], Response]) -> Response:
        """Authenticate the app and act, in one transaction: what it has shown is used up whatever comes of it."""
        core = self.get_oauthlib_core()
        uri, method, body, headers = core._extract_params(request._request)
        asked = OAuthRequest(uri, method, body, headers)
        with transaction.atomic():
            try:
                GrantTypeBase(core.server.request_validator).validate_client_authentication(asked)
                return act(asked.client, asked)
            except OAuth2Error as error:
                return Response(json.loads(error.json), status=error.status_code, headers=error.headers)


class Token(ClientEndpoint):
    """Where an app comes to its tokens."""

    @operation(
        id="oauth_token",
        summary="Get an access token",
        description="OAuth 2.0 (RFC 6749) as a form: client credentials, an authorization code with PKCE, a refresh "
        "token, or a device code (RFC 8628).",
        tag="OAuth",
        request=TokenRequest,
        response={200: TokenBody, **REFUSALS},
    )
    def post(self, request: Request) -> Response:
        # One transaction: what was looked at under a lock is written before the lock goes.
        with transaction.atomic():
            _, headers, body, status = self.create_token_response(request._request)
        kept = {name: value for name, value in headers.items() if name != "Content-Type"}
        return Response(json.loads(body), status=status, headers=kept)


class DeviceAuthorization(ClientEndpoint):
    """Where an app without a browser begins."""

    @operation(
        id="oauth_device_authorization",
        summary="Begin the device grant",
        description="RFC 8628. Show `user_code` and `verification_uri`, then ask the token endpoint.",
        tag="OAuth",
        request=DeviceAuthorizationRequest,
        response={200: DeviceAuthorizationBody, **REFUSALS},
    )
    def post(self, request: Request) -> Response:
        return self.for_client(request, self._begin)

    def _begin(self, app: App, asked: OAuthRequest) -> Response:
        asked.grant_type = GrantType.DEVICE_CODE.value
        grant = DeviceCodeGrant(self.get_oauthlib_core().server.request_validator)
        grant.validate_grant_type(asked)
        grant.validate_scopes(asked)
        begun = device_grants.begin(app=app, scopes=asked.scopes)
        page = f"{current_organization().issuer}/oauth/device"
        body = {
            "device_code": begun.device_code,
            "user_code": begun.user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={begun.user_code}",
            "expires_in": int(device_grants.LIFETIME.total_seconds()),
            "interval": device_grants.INTERVAL_S,
        }
        return Response(body, headers=NO_STORE)


class Introspection(ClientEndpoint):
    """Whether a token holds."""

    rate = INTROSPECTION_RATE

    @operation(
        id="oauth_introspect",
        summary="Ask whether a token holds",
        description="RFC 7662. An app is told of its own tokens; one that holds `apps.read`, of everybody's.",
        tag="OAuth",
        request=TokenForm,
        response={200: IntrospectionBody, **REFUSALS},
    )
    def post(self, request: Request) -> Response:
        return self.for_client(request, self._introspect)

    def _introspect(self, app: App, asked: OAuthRequest) -> Response:
        if app.auth_method == AuthMethod.NONE:
            # Whoever has found a token would learn what it is good for.
            return Response({"error": "invalid_client"}, status=401, headers=NO_STORE)
        sees_all = check(principal=app.principal, permission="apps.read").allowed
        found = tokens.introspect(token=str(asked.token or ""), by=app, sees_all=sees_all)
        return Response({"active": found is not None, **(found or {})}, headers=NO_STORE)


class Revocation(ClientEndpoint):
    """The end of a token."""

    @operation(
        id="oauth_revoke",
        summary="Revoke a token",
        description="RFC 7009. A refresh token ends with everything that came of the same consent. A token that is "
        "not known here, or no longer, is answered in the same way.",
        tag="OAuth",
        request=TokenForm,
        response={200: None, **REFUSALS},
    )
    def post(self, request: Request) -> Response:
        return self.for_client(request, self._revoke)

    def _revoke(self, app: App, asked: OAuthRequest) -> Response:
        tokens.revoke(token=str(asked.token or ""), by=app)
        return Response(status=200, headers=NO_STORE)


class UserInfo(APIView):
    """Who the member is whose token it is."""

    permission = SIGNED_IN
    delegable = True

    @operation(
        id="oauth_userinfo",
        summary="Get the member of the token",
        description="OpenID Connect Core, section 5.3. For tokens with the scope `openid`.",
        tag="OAuth",
        response=UserInfoBody,
    )
    def get(self, request: Request) -> Response:
        principal = request.principal
        granted = principal.scopes or frozenset()
        if principal.kind != "member" or scopes.OPENID not in granted:
            raise InsufficientScope(scope=scopes.OPENID)
        member = accounts.user(user_id=principal.id)
        claims = {"sub": member.public_id, **oauth.identity_claims(member, granted)}
        return Response(claims, headers=NO_STORE)

    @operation(id="oauth_userinfo_post", summary="The same", tag="OAuth", response=UserInfoBody)
    def post(self, request: Request) -> Response:
        return self.get(request)


class Keys(APIView):
    """The public keys that verify this organization's tokens."""

    permission = PUBLIC
    authentication_classes = []

    @operation(id="oauth_keys", summary="Get the signing keys (JWKS)", tag="OAuth", response=KeySet)
    def get(self, request: Request) -> Response:
        return Response({"keys": signing.public_keys()}, headers=_public())


class Metadata(APIView):
    """Where the endpoints are and what they can do (RFC 8414)."""

    permission = PUBLIC
    authentication_classes = []

    @operation(
        id="oauth_metadata",
        summary="Get the authorization server's metadata",
        tag="OAuth",
        response=ServerMetadata,
    )
    def get(self, request: Request) -> Response:
        return Response(_metadata(), headers=_public())


class OpenIdMetadata(APIView):
    """The same, where OpenID Connect looks for it."""

    permission = PUBLIC
    authentication_classes = []

    @operation(
        id="openid_metadata",
        summary="Get the OpenID provider's metadata",
        tag="OAuth",
        response=ServerMetadata,
    )
    def get(self, request: Request) -> Response:
        return Response(_metadata(), headers=_public())


def _metadata() -> dict[str, Any]:
    # From the organization's row and never from the request: a Host header proves nothing.
    issuer = current_organization().issuer
    confidential = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    algorithms = list(assertions.ALGORITHMS)
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "device_authorization_endpoint": f"{issuer}/oauth/device_authorization",
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "userinfo_endpoint": f"{issuer}/oauth/userinfo",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "scopes_supported": scopes.advertised(),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [one.value for one in GrantType],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": [*confidential, "none"],
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": [*confidential, "none"],
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [signing.ALGORITHM],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "name", "email"],
        "prompt_values_supported": ["none", "login", "consent"],
        "authorization_response_iss_parameter_supported": True,
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "service_documentation": DOCUMENTATION,
    }


def _public() -> dict[str, str]:
    return {"Cache-Control": f"public, max-age={int(signing.KEYS_MAX_AGE.total_seconds())}"}
