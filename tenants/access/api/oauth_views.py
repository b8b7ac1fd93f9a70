"""The organization as an OAuth 2.0 authorization server: token endpoint, keys, metadata.

They answer as their RFCs say, so errors of the token endpoint are not problem documents.
"""

from __future__ import annotations

import json
from typing import Any

from oauth2_provider.views.mixins import OAuthLibMixin
from rest_framework.parsers import FormParser
from rest_framework.response import Response

from engine.api.access import PUBLIC
from engine.api.throttles import Rate
from engine.api.views import APIView, Request, operation
from engine.tenancy.context import current_organization
from tenants.access import signing
from tenants.access.api.serializers import (
    KeySet,
    OAuthError,
    ServerMetadata,
    TokenBody,
    TokenRequest,
)
from tenants.access.permissions import PERMISSIONS

KEYS_MAX_AGE_S = 300
DOCUMENTATION = "https://docs.keystead.dev/access"
TOKEN_RATE = Rate(limit=300, seconds=60, name="token")


class Token(OAuthLibMixin, APIView):
    """Where an app turns its secret into an access token."""

    permission = PUBLIC
    authentication_classes = []
    parser_classes = [FormParser]
    rate = TOKEN_RATE

    @operation(
        id="oauth_token",
        summary="Get an access token",
        description="OAuth 2.0 client credentials (RFC 6749, section 4.4), as a form.",
        tag="OAuth",
        request=TokenRequest,
        response={200: TokenBody, 400: OAuthError, 401: OAuthError},
    )
    def post(self, request: Request) -> Response:
        _, headers, body, status = self.create_token_response(request._request)
        kept = {name: value for name, value in headers.items() if name != "Content-Type"}
        return Response(json.loads(body), status=status, headers=kept)


class Keys(APIView):
    """The public keys that verify this organization's access tokens."""

    permission = PUBLIC
    authentication_classes = []

    @operation(id="oauth_keys", summary="Get the signing keys (JWKS)", tag="OAuth", response=KeySet)
    def get(self, request: Request) -> Response:
        headers = {"Cache-Control": f"public, max-age={KEYS_MAX_AGE_S}"}
        return Response({"keys": signing.public_keys()}, headers=headers)


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
        # From the organization's row and never from the request: a Host header proves nothing.
        issuer = current_organization().issuer
        document: dict[str, Any] = {
            "issuer": issuer,
            "token_endpoint": f"{issuer}/oauth/token",
            "jwks_uri": f"{issuer}/.well-known/jwks.json",
            "scopes_supported": sorted(one.name for one in PERMISSIONS.values() if "app" in one.kinds),
            "response_types_supported": [],
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "service_documentation": DOCUMENTATION,
        }
        headers = {"Cache-Control": f"public, max-age={KEYS_MAX_AGE_S}"}
        return Response(document, headers=headers)
