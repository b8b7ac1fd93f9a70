"""How a device proves that it holds a key: a JWS of a type of its own, over words of our choice.

A device never signs bytes that a peer chose. Each proof names its purpose (`typ`), its audience (a
canonical URL of the organization) and its moment, so that one proof is worth nothing anywhere else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from engine import canonical_json

GATEWAY = "keystead-gateway+jwt"
CLAIM = "keystead-claim+jwt"
ROTATION = "keystead-rotation+jwt"
ENDORSEMENT = "keystead-endorsement+jwt"
ALGORITHM = "EdDSA"
CLOCK_SKEW = timedelta(seconds=60)
PROOF_BYTES_MAX = 2048
KEY_BYTES = 32
SIGNATURE_BYTES = 64


class InvalidProofError(ValueError):
    """A proof does not show what it has to. `reason` is snake_case and says which part failed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidKeyError(ValueError):
    """A JWK is not an Ed25519 public key."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key."""

    raw: bytes

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> PublicKey:
        """The key of a JWK (RFC 8037). Raises InvalidKeyError, also when it holds a private part."""
        if "d" in jwk:
            raise InvalidKeyError("this is a private key: keep it on the device")
        if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519":
            raise InvalidKeyError("the key must have kty OKP and crv Ed25519")
        try:
            raw = from_base64url(jwk.get("x"))
        except ValueError as error:
            raise InvalidKeyError("x is not base64url") from error
        if len(raw) != KEY_BYTES or _is_low_order(raw):
            raise InvalidKeyError("x is not an Ed25519 public key")
        return cls(raw)

    def verifies(self, *, signature: bytes, message: bytes) -> bool:
        """Whether `signature` over `message` was made with this key's private half."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    @property
    def thumbprint(self) -> str:
        """The key's name, the same everywhere (RFC 7638)."""
        jwk = {"crv": "Ed25519", "kty": "OKP", "x": to_base64url(self.raw)}
        return to_base64url(hashlib.sha256(canonical_json.encode(jwk)).digest())


def claims(  # noqa: C901  # one line per thing that a proof has to show
    token: str,
    *,
    key: PublicKey,
    typ: str,
    audience: str,
    now: datetime,
    names: frozenset[str],
) -> dict[str, Any]:
    """The claims of a proof: exactly `aud`, `iat` and `names`, all of them texts but `iat`.

    Raises InvalidProofError for another type, algorithm, audience, key or moment.
    """
    if len(token) > PROOF_BYTES_MAX or not token.isascii():
        raise InvalidProofError("malformed")
    signed, separator, signature_text = token.rpartition(".")
    header_text, dot, payload_text = signed.partition(".")
    if not separator or not dot or "." in payload_text:
        raise InvalidProofError("malformed")
    header, payload = _object(header_text), _object(payload_text)
    if header.get("typ") != typ:
        raise InvalidProofError("wrong_typ")
    if header.get("alg") != ALGORITHM:
        raise InvalidProofError("wrong_alg")
    # Anything else (`crit`, `jwk`, `b64`) would ask for a meaning that this reader does not have.
    if set(header) - {"typ", "alg", "kid"}:
        raise InvalidProofError("unknown_header")
    try:
        signature = from_base64url(signature_text)
    except ValueError as error:
        raise InvalidProofError("malformed") from error
    if not key.verifies(signature=signature, message=signed.encode()):
        raise InvalidProofError("wrong_signature")
    if set(payload) != names | {"aud", "iat"}:
        raise InvalidProofError("wrong_claims")
    if any(not isinstance(payload[name], str) for name in names | {"aud"}):
        raise InvalidProofError("wrong_claims")
    if payload["aud"] != audience:
        raise InvalidProofError("wrong_aud")
    issued = payload["iat"]
    if isinstance(issued, bool) or not isinstance(issued, int) or not 0 <= issued < 2**40:
        raise InvalidProofError("wrong_claims")
    if abs(datetime.fromtimestamp(issued, UTC) - now) > CLOCK_SKEW:
        raise InvalidProofError("wrong_moment")
    return payload


def unverified(token: str, name: str) -> str:
    """One claim of a proof that was not checked yet: enough to look its key up, and for nothing else.

    Raises InvalidProofError when the proof cannot be read or has no such text.
    """
    if len(token) > PROOF_BYTES_MAX or token.count(".") != 2:
        raise InvalidProofError("malformed")
    value = _object(token.split(".")[1]).get(name)
    if not isinstance(value, str):
        raise InvalidProofError("wrong_claims")
    return value


def from_base64url(text: Any) -> bytes:
    """The bytes of a base64url text without padding. Raises ValueError for anything else."""
    if not isinstance(text, str) or not text.isascii() or "=" in text or len(text) % 4 == 1:
        raise ValueError("not base64url")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    # Two texts for the same bytes would let a signature be varied without its key.
    if to_base64url(raw) != text:
        raise ValueError("not base64url in its one form")
    return raw


def to_base64url(raw: bytes) -> str:
    """The base64url text of `raw`, without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _object(text: str) -> dict[str, Any]:
    try:
        value = canonical_json.decode(from_base64url(text))
    except ValueError as error:
        raise InvalidProofError("malformed") from error
    if not isinstance(value, dict):
        raise InvalidProofError("malformed")
    return value


_FIELD = 2**255 - 19
# y-coordinates of the points of order 1, 2, 4 and 8: signatures under them hold for many messages.
_LOW_ORDER_Y = frozenset(
    {
        0,
        1,
        _FIELD - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        _FIELD - 2707385501144840649318225287225658788936804267575313519463743609750303402022,
    }
)


def _is_low_order(raw: bytes) -> bool:
    y = int.from_bytes(raw, "little") & ((1 << 255) - 1)
    return y % _FIELD in _LOW_ORDER_Y
