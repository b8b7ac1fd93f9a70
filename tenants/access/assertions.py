"""Apps that show who they are by a signature instead of a secret (private_key_jwt: RFC 7523, section 2.2).

The key is one that was registered here. What an assertion says about keys elsewhere (`jwk`, `jku`, `x5u`) is
never followed, and its algorithm is the key's, whatever the header says.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.db import IntegrityError, transaction
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from engine import ids
from engine.clock import Clock, utc_now
from engine.errors import InvalidInput
from engine.tenancy.context import current_organization
from shared.accounts.rules import hash_token
from tenants.access.models import App, UsedAssertion
from tenants.access.rules import AuthMethod
from tenants.access.signing import CLOCK_SKEW
from tenants.audit import services as audit

log = structlog.get_logger("keystead.access")

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Anything else with a signature of the same key was made for another purpose.
TYPES = frozenset({None, "JWT", "client-authentication+jwt"})
# Clients name us, the token endpoint, or the endpoint that they call: all of them are this organization alone.
AUDIENCES = ("", "/oauth/token", "/oauth/introspect", "/oauth/revoke", "/oauth/device_authorization")
ALGORITHMS = ("ES256", "RS256", "EdDSA", "Ed25519")
LIFETIME_MAX = timedelta(hours=1)
KEYS_MAX = 10
RSA_BITS = range(2048, 4097)
_CHARACTERS_MAX = 8192
_JTI_CHARACTERS_MAX = 255
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_Key = ECKey | OKPKey | RSAKey


class AssertionRefused(Exception):
    """The text does not show that an app is itself. Says why, for the log only."""


def app_of(assertion: str, *, clock: Clock = utc_now) -> App:
    """The app that signed the assertion, which is used up by this. Raises AssertionRefused.

    Call it in the transaction of the request: the note that it was used has to be kept whatever comes after.
    """
    header, claims = _unverified(assertion)
    app = _app(claims.get("sub"))
    _verify(assertion, header=header, app=app)
    expires_at = _checked(claims, client_id=app.client_id, now=clock())
    _use_up(app, jti=claims["jti"], expires_at=expires_at, now=clock())
    return app


def checked_keys(keys: Sequence[Any]) -> list[dict[str, Any]]:
    """Public keys as they are stored, from JWKs that somebody sent. Raises InvalidInput (field jwks)."""
    if not 1 <= len(keys) <= KEYS_MAX:
        raise InvalidInput(f"Give 1 to {KEYS_MAX} keys.", field="jwks")
    found = [_checked_key(key, field=f"jwks.{number}") for number, key in enumerate(keys)]
    if len({one["kid"] for one in found}) != len(found):
        raise InvalidInput("Two keys have the same kid.", field="jwks")
    return found


def _checked_key(jwk: Any, *, field: str) -> dict[str, Any]:
    if not isinstance(jwk, dict):
        raise InvalidInput("A key is a JSON object (RFC 7517).", field=field)
    if _PRIVATE_MEMBERS & set(jwk):
        raise InvalidInput("This holds a private key. Send the public half, and replace this one.", field=field)
    if jwk.get("use", "sig") != "sig":
        raise InvalidInput("The key is not meant for signatures.", field=f"{field}.use")
    try:
        key = _imported(jwk)
    except (JoseError, ValueError, TypeError, KeyError, binascii.Error) as error:
        raise InvalidInput("The key has to be EC P-256, Ed25519, or RSA of 2048 to 4096 bits.", field=field) from error
    allowed = _algorithms(jwk)
    algorithm = jwk.get("alg", allowed[0])
    if algorithm not in allowed:
        raise InvalidInput(f"Such a key signs {' or '.join(allowed)}.", field=f"{field}.alg")
    kid = jwk.get("kid", key.thumbprint())
    if not isinstance(kid, str) or not 1 <= len(kid) <= 128 or not kid.isprintable():
        raise InvalidInput("A kid has 1 to 128 printable characters.", field=f"{field}.kid")
    return {**key.as_dict(private=False), "use": "sig", "alg": algorithm, "kid": kid}


def _imported(jwk: Mapping[str, Any]) -> _Key:
    """The key, if it is of a kind and size that we take. Raises what joserfc does, ValueError for the rest."""
    kind = jwk.get("kty")
    if kind == "EC" and jwk.get("crv") == "P-256":
        return ECKey.import_key(dict(jwk))
    if kind == "OKP" and jwk.get("crv") == "Ed25519":
        return OKPKey.import_key(dict(jwk))
    if kind == "RSA":
        key = RSAKey.import_key(dict(jwk))
        if key.public_key.key_size in RSA_BITS:
            return key
    raise ValueError("not a key that signs assertions here")


def _algorithms(jwk: Mapping[str, Any]) -> list[str]:
    return {"EC": ["ES256"], "RSA": ["RS256"], "OKP": ["EdDSA", "Ed25519"]}[str(jwk["kty"])]


def _unverified(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if len(assertion) > _CHARACTERS_MAX or assertion.count(".") != 2:
        raise AssertionRefused("not a compact JWS")
    found = []
    for part in assertion.split(".")[:2]:
        try:
            decoded = json.loads(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True))
        except (binascii.Error, ValueError, RecursionError) as error:
            raise AssertionRefused("a part is not JSON in base64url") from error
        if not isinstance(decoded, dict):
            raise AssertionRefused("a part is not a JSON object")
        found.append(decoded)
    return found[0], found[1]


def _app(client_id: Any) -> App:
    try:
        app_id = ids.decode(App.id_prefix, client_id if isinstance(client_id, str) else "")
    except ids.InvalidId as error:
        raise AssertionRefused("the subject is no app") from error
    app = App.objects.filter(id=app_id, is_active=True, auth_method=AuthMethod.KEY).first()
    if app is None:
        raise AssertionRefused("no such app signs assertions here")
    return app


def _verify(assertion: str, *, header: Mapping[str, Any], app: App) -> None:
    kind, kid = header.get("typ"), header.get("kid")
    if not isinstance(kind, str | None) or kind not in TYPES:
        raise AssertionRefused("made for another purpose")
    keys = [jwk for jwk in app.jwks if kid is None or kid == jwk["kid"]]
    for jwk in keys:
        try:
            # Without `alg`: EdDSA and Ed25519 are two names of one algorithm.
            key = _imported({name: value for name, value in jwk.items() if name != "alg"})
            jwt.decode(assertion, key, algorithms=_algorithms(jwk))
        except (JoseError, ValueError, TypeError):
            continue
        return
    raise AssertionRefused("no registered key has signed this")


def _checked(claims: Mapping[str, Any], *, client_id: str, now: datetime) -> datetime:
    """When the assertion expires. Raises AssertionRefused unless it is meant for us, and now."""
    issuer = current_organization().issuer
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        # Several audiences could each use it at the others.
        audience = audience[0]
    if not isinstance(audience, str) or audience not in {f"{issuer}{path}" for path in AUDIENCES}:
        raise AssertionRefused("meant for somebody else")
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise AssertionRefused("issuer and subject are not the app")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= _JTI_CHARACTERS_MAX:
        raise AssertionRefused("no jti")
    expires_at = _moment(claims.get("exp"), "exp")
    if expires_at <= now - CLOCK_SKEW or expires_at > now + LIFETIME_MAX + CLOCK_SKEW:
        raise AssertionRefused("expired, or good for too long")
    for name in ("iat", "nbf"):
        if name in claims and _moment(claims[name], name) > now + CLOCK_SKEW:
            raise AssertionRefused(f"{name} lies ahead")
    return expires_at


def _moment(value: Any, name: str) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AssertionRefused(f"{name} is no moment")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise AssertionRefused(f"{name} is no moment") from error


def _use_up(app: App, *, jti: str, expires_at: datetime, now: datetime) -> None:
    UsedAssertion.objects.filter(app=app, expires_at__lt=now - CLOCK_SKEW).delete()
    try:
        with transaction.atomic():
            UsedAssertion.objects.create(app=app, jti_hash=hash_token(jti), created_at=now, expires_at=expires_at)
    except IntegrityError as error:
        audit.write(action="app.assertion_replayed", actor=app.principal, resource=app.public_id)
        raise AssertionRefused("shown before") from error
