"""OpenID Connect Core 1.0 as far as it is pure: what is asked for, and what an ID token has to say."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

SCOPES = "openid email profile"
# Asymmetric ones alone: with HS256 the client's secret, or a public key taken for one, would sign.
ALGORITHMS = frozenset({"RS256", "PS256", "ES256", "EdDSA"})
SUBJECT_CHARACTERS_MAX = 255
CLOCK_SKEW_S = 60
_AGE_MAX_S = 600
# Of RFC 8176. Each alone may have been the only factor; beside the password it was the second.
_BESIDE_A_PASSWORD = frozenset({"otp", "hwk", "swk"})


class IdTokenInvalid(Exception):
    """The ID token is not for us, not now, or not for this sign-in. Says why, for the log only."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the provider says it is."""

    subject: str
    verified_email: str | None
    shows_mfa: bool


def challenge_of(verifier: str) -> str:
    """RFC 7636, section 4.2: S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def authorization_url(
    endpoint: str, *, client_id: str, redirect_uri: str, state: str, nonce: str, verifier: str
) -> str:
    """Where the browser is sent."""
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": SCOPES,
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
    }
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"


def identity(claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str, now: float) -> Identity:
    """Whom the claims of a token whose signature was verified speak of (section 3.1.3.7). Raises IdTokenInvalid."""
    _require(claims.get("iss") == issuer, "iss")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    _require(client_id in audiences, "aud")
    _require(len(audiences) == 1 or claims.get("azp") == client_id, "azp")
    _require(claims.get("azp") in (None, client_id), "azp")
    _require(now < _time(claims, "exp") + CLOCK_SKEW_S, "exp")
    _require(now - _AGE_MAX_S - CLOCK_SKEW_S < _time(claims, "iat") < now + CLOCK_SKEW_S, "iat")
    given = claims.get("nonce")
    _require(isinstance(given, str) and hmac.compare_digest(given.encode(), nonce.encode()), "nonce")
    subject = claims.get("sub")
    _require(isinstance(subject, str) and 0 < len(subject) <= SUBJECT_CHARACTERS_MAX, "sub")
    email = claims.get("email")
    # Only the boolean: some providers send the text "false".
    is_verified = isinstance(email, str) and claims.get("email_verified") is True
    methods = claims.get("amr")
    shown = {str(one) for one in methods} if isinstance(methods, list) else set()
    return Identity(
        subject=str(subject),
        verified_email=str(email) if is_verified else None,
        shows_mfa="mfa" in shown or ("pwd" in shown and bool(shown & _BESIDE_A_PASSWORD)),
    )


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise IdTokenInvalid(name)
    return value


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise IdTokenInvalid(what)
