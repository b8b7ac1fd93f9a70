"""The organization's own signing keys and the access tokens that they sign (RFC 9068, ES256)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from engine.clock import Clock, utc_now
from engine.tenancy.context import current_organization
from tenants.access.models import SigningKey
from tenants.keyring import services as keyring

ALGORITHM = "ES256"
TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type
TOKEN_LIFETIME = timedelta(minutes=10)
CLOCK_SKEW = timedelta(seconds=30)
_SEALED_AS = "oauth.signing_key"
_TOKEN_CHARACTERS_MAX = 8192


class TokenInvalid(Exception):
    """The text is not a living access token of this organization. Says why, for the log only."""


class NoSigningKey(RuntimeError):
    """The organization was not provisioned to its end: nothing can sign for it."""


def create_signing_key(*, clock: Clock = utc_now) -> SigningKey:
    """Make a key that signs from now on. The private half is sealed before it is stored."""
    key = ECKey.generate_key("P-256", parameters={"use": "sig", "alg": ALGORITHM}, private=True)
    kid = key.thumbprint()
    private = json.dumps(key.as_dict(private=True)).encode()
    return SigningKey.objects.create(
        kid=kid,
        algorithm=ALGORITHM,
        public_jwk={**key.as_dict(private=False), "kid": kid},
        sealed_private_jwk=keyring.seal_secret(purpose_name=_SEALED_AS, record_id=kid, plaintext=private),
        created_at=clock(),
    )


def ensure_signing_key(*, clock: Clock = utc_now) -> SigningKey:
    """The key that signs, made when there is none."""
    return _active() or create_signing_key(clock=clock)


def rotate_signing_key(*, clock: Clock = utc_now) -> SigningKey:
    """A new key signs at once; the earlier ones verify until their last token has expired."""
    # In this order: a process that dies in between leaves two keys that sign, and never none.
    fresh = create_signing_key(clock=clock)
    retired_at = clock() + TOKEN_LIFETIME + CLOCK_SKEW
    SigningKey.objects.filter(retired_at=None).exclude(id=fresh.id).update(retired_at=retired_at)
    return fresh


def public_keys(*, clock: Clock = utc_now) -> list[dict[str, Any]]:
    """The organization's keys as public JWKs, newest first."""
    keys = SigningKey.objects.verifying(at=clock()).order_by("-id")
    return list(keys.values_list("public_jwk", flat=True))


def sign_access_token(*, client_id: str, scopes: list[str], lifetime: timedelta, clock: Clock = utc_now) -> str:
    """An access token of an app, for this organization's API. Raises NoSigningKey."""
    now = clock()
    return sign(subject=client_id, client_id=client_id, scopes=scopes, issued_at=now, expires_at=now + lifetime)


def sign(
    *,
    subject: str,
    client_id: str,
    scopes: list[str],
    issued_at: datetime,
    expires_at: datetime,
    more: Mapping[str, Any] | None = None,
) -> str:
    """An access token (RFC 9068) with `more` claims beside its own. Raises NoSigningKey."""
    row = _active()
    if row is None:
        raise NoSigningKey("no signing key; provisioning makes the first one")
    private = keyring.open_secret(purpose_name=_SEALED_AS, record_id=row.kid, sealed=bytes(row.sealed_private_jwk))
    issuer = current_organization().issuer
    claims = {
        **(more or {}),
        "iss": issuer,
        "aud": issuer,
        "sub": subject,
        "client_id": client_id,
        "scope": " ".join(scopes),
        "iat": int(issued_at.timestamp()),
        "exp": int(expires_at.timestamp()),
        "jti": str(uuid4()),
    }
    header = {"alg": row.algorithm, "typ": TOKEN_TYPE, "kid": row.kid}
    return jwt.encode(header, claims, ECKey.import_key(json.loads(private)), [row.algorithm])


def read_access_token(token: str, *, clock: Clock = utc_now) -> Mapping[str, Any]:
    """The claims of a token that this organization signed and that has not expired. One query.

    The key is looked up by `kid` among the organization's own; what a header says about keys
    elsewhere (`jwk`, `jku`, `x5u`) is never followed. Raises TokenInvalid, NoOrganization.
    """
    issuer, now = current_organization().issuer, clock()
    row = SigningKey.objects.verifying(at=now).filter(kid=_kid(token)).first()
    if row is None:
        raise TokenInvalid("no key of this organization has that kid")
    try:
        read = jwt.decode(token, ECKey.import_key(row.public_jwk), algorithms=[row.algorithm])
        if read.header.get("typ") != TOKEN_TYPE:
            raise TokenInvalid("not an access token")
        _claims_wanted(issuer, now).validate(read.claims)
    except (JoseError, ValueError, TypeError) as error:
        raise TokenInvalid(type(error).__name__) from error
    return read.claims


def _claims_wanted(issuer: str, now: datetime) -> jwt.JWTClaimsRegistry:
    return jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=int(CLOCK_SKEW.total_seconds()),
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": issuer},
        exp={"essential": True},
        iat={"essential": True},
        jti={"essential": True},
        sub={"essential": True},
        client_id={"essential": True},
        scope={"essential": True, "allow_blank": True},
    )


def _kid(token: str) -> str:
    if len(token) > _TOKEN_CHARACTERS_MAX or token.count(".") != 2:
        raise TokenInvalid("not a compact JWS")
    encoded = token.partition(".")[0]
    try:
        padded = encoded + "=" * (-len(encoded) % 4)
        header = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise TokenInvalid("the header is not JSON in base64url") from error
    kid = header.get("kid") if isinstance(header, dict) else None
    if not isinstance(kid, str) or "\x00" in kid:
        raise TokenInvalid("the header names no key")
    return kid


def _active() -> SigningKey | None:
    return SigningKey.objects.filter(retired_at=None).order_by("-id").first()
