"""Words of OAuth that are stored and spoken."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class GrantType(StrEnum):
    """How an app can come to a token (RFC 6749, RFC 8628)."""

    CLIENT_CREDENTIALS = "client_credentials"
    AUTHORIZATION_CODE = "authorization_code"
    DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of a grant


REGISTRABLE_GRANT_TYPES: Final = frozenset(GrantType) - {GrantType.REFRESH_TOKEN}
"""Refreshing goes with the grants that give refresh tokens."""


class AuthMethod(StrEnum):
    """How an app shows at the token endpoint that it is itself."""

    SECRET = "client_secret"  # noqa: S105 - a word, not a secret
    KEY = "private_key_jwt"
    NONE = "none"
