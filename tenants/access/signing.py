"""The organization's own signing keys, and the access tokens (RFC 9068) and ID tokens that they sign (ES256)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.db.models import Q
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from engine.clock import Clock, utc_now
from engine.principals import SYSTEM, Principal
from engine.tenancy.context import current_organization
from tenants.access.models import SigningKey, SigningKeyQuerySet
from tenants.audit import services as audit
from tenants.keyring import services as keyring

ALGORITHM = "ES256"
TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type
ID_TOKEN_TYPE = "JWT"  # noqa: S105
TOKEN_LIFETIME = timedelta(minutes=10)
LONGEST_TOKEN_LIFETIME = timedelta(hours=1)
"""An operator's who looks in. A key verifies for this long after it has signed for the last time."""
KEYS_MAX_AGE = timedelta(minutes=5)
"""For how long others may keep our JWKS."""
PUBLISHED_AHEAD = 2 * KEYS_MAX_AGE
CLOCK_SKEW = timedelta(seconds=30)
_SEALED_AS = "oauth.signing_key"
_TOKEN_CHARACTERS_MAX = 8192


class TokenInvalid(Exception):
    """The text is not a living access token of this organization. Says why, for the log only."""


class NoSigningKey(RuntimeError):
    """The organization was not provisioned to its end: nothing can sign for it."""


def create_signing_key(*, signs_at: datetime | None = None, clock: Clock = utc_now) -> SigningKey:
    """Make a key that signs from `signs_at` on, or at once. The private half is sealed before it is stored."""
    key = ECKey.generate_key("P-256", parameters={"use": "sig", "alg": ALGORITHM}, private=True)
    kid = key.thumbprint()
    private = json.dumps(key.as_dict(private=True)).encode()
    now = clock()
    return SigningKey.objects.create(
        kid=kid,
        algorithm=ALGORITHM,
        public_jwk={**key.as_dict(private=False), "kid": kid},
        sealed_private_jwk=keyring.seal_secret(purpose_name=_SEALED_AS, record_id=kid, plaintext=private),
        created_at=now,
        signs_at=signs_at or now,
    )


def ensure_signing_key(*, clock: Clock = utc_now) -> SigningKey:
    """The key that signs, made when there is none."""
    return _signing(at=clock()) or create_signing_key(clock=clock)


def rotate_signing_key(*, immediately: bool = False, by: Principal = SYSTEM, clock: Clock = utc_now) -> SigningKey:
    """Make a new key: it is published now, signs once everybody has seen it, and the earlier ones verify until
    their last token is over. While a rotation is under way it is answered again.

    `immediately` is for a key that others know: the new one signs at once, and every token signed so far is dead.
    """
    now = clock()
    with transaction.atomic():
        # The locks make a second rotation wait; what the first has made is seen by a statement of its own.
        list(SigningKey.objects.select_for_update().verifying(at=now).order_by("id").values_list("id"))
        living = SigningKey.objects.verifying(at=now).order_by("id")
        waiting = max(living, key=lambda key: (key.signs_at, key.id), default=None)
        if waiting is not None and waiting.signs_at > now and not immediately:
            return waiting
        signs_at = now if immediately or waiting is None else now + PUBLISHED_AHEAD
        retired_at = now if immediately else signs_at + LONGEST_TOKEN_LIFETIME + CLOCK_SKEW
        fresh = create_signing_key(signs_at=signs_at, clock=lambda: now)
        earlier = SigningKey.objects.filter(Q(retired_at=None) | Q(retired_at__gt=retired_at)).exclude(id=fresh.id)
        earlier.update(retired_at=retired_at)
        audit.write(
            action="signing_key.rotated", actor=by, resource=fresh.public_id, detail={"immediately": immediately}
        )
    return fresh


def keys() -> SigningKeyQuerySet:
    """Every key that there ever was."""
    return SigningKey.objects.all()


def public_keys(*, clock: Clock = utc_now) -> list[dict[str, Any]]:
    """The organization's keys as public JWKs, newest first."""
    keys = SigningKey.objects.verifying(at=clock()).order_by("-id")
    return list(keys.values_list("public_jwk", flat=True))


def sign_access_token(
    *,
    subject: str,
    client_id: str,
    scopes: list[str],
    lifetime: timedelta,
    more: Mapping[str, Any] | None = None,
    clock: Clock = utc_now,
) -> str:
    """An access token for this organization's API, with `more` claims beside its own. Raises NoSigningKey."""
    now = clock()
    return sign(
        subject=subject, client_id=client_id, scopes=scopes, issued_at=now, expires_at=now + lifetime, more=more
    )


def sign_id_token(
    *,
    subject: str,
    client_id: str,
    authenticated_at: datetime,
    access_token: str,
    nonce: str = "",
    more: Mapping[str, Any] | None = None,
    clock: Clock = utc_now,
) -> str:
    """An ID token (OpenID Connect Core 1.0, section 2): to the app, about a member. Raises NoSigningKey."""
    now = clock()
    half = hashlib.sha256(access_token.encode()).digest()[:16]
    claims = {
        **(more or {}),
        "sub": subject,
        "aud": client_id,
        "auth_time": int(authenticated_at.timestamp()),
        "at_hash": base64.urlsafe_b64encode(half).decode().rstrip("="),
        **({"nonce": nonce} if nonce else {}),
    }
    return _signed(claims, kind=ID_TOKEN_TYPE, issued_at=now, expires_at=now + TOKEN_LIFETIME)


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
    claims = {
        **(more or {}),
        "aud": current_organization().issuer,
        "sub": subject,
        "client_id": client_id,
        "scope": " ".join(scopes),
    }
    return _signed(claims, kind=TOKEN_TYPE, issued_at=issued_at, expires_at=expires_at)


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


def _signed(claims: Mapping[str, Any], *, kind: str, issued_at: datetime, expires_at: datetime) -> str:
    row = _signing(at=issued_at)
    if row is None:
        raise NoSigningKey("no signing key; provisioning makes the first one")
    private = keyring.open_secret(purpose_name=_SEALED_AS, record_id=row.kid, sealed=bytes(row.sealed_private_jwk))
    whole = {
        **claims,
        "iss": current_organization().issuer,
        "iat": int(issued_at.timestamp()),
        "exp": int(expires_at.timestamp()),
        "jti": str(uuid4()),
    }
    header = {"alg": row.algorithm, "typ": kind, "kid": row.kid}
    return jwt.encode(header, whole, ECKey.import_key(json.loads(private)), [row.algorithm])


def _signing(*, at: datetime) -> SigningKey | None:
    return SigningKey.objects.verifying(at=at).filter(signs_at__lte=at).order_by("-signs_at", "-id").first()
