"""Short-lived signed tokens between our own processes. Each names one organization.

A JWT (RFC 7519) signed with Ed25519 (RFC 9864) of the exact type `keystead-service+jwt`, so that no
token of another kind, signed by whatever key, is ever taken for one. The matcher reads an
organization's rows as the role that the token names, so the role and schema are signed too.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from engine.clock import Clock, utc_now

TYPE: Final = "keystead-service+jwt"
MAX_LIFETIME: Final = timedelta(seconds=60)
MATCHER_AUDIENCE: Final = "matcher"

_ALGORITHM: Final = "Ed25519"
_LEEWAY: Final = timedelta(seconds=5)
_PEM_BLOCK: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


class InvalidServiceToken(Exception):
    """Not a token of ours for this audience, or no longer one. The message is fit for a log."""


class ServiceKeyUnusable(Exception):
    """A key file is missing, is not an Ed25519 key, or can be read by others."""


@dataclass(frozen=True, slots=True)
class OrganizationClaims:
    """The organization on whose behalf a process calls another."""

    id: UUID
    schema_name: str
    role_name: str


def mint(
    *,
    private_key: Ed25519PrivateKey,
    audience: str,
    organization: OrganizationClaims,
    clock: Clock = utc_now,
    lifetime: timedelta = timedelta(seconds=30),
) -> str:
    """A token for one organization and one audience, valid for `lifetime`, at most a minute."""
    if not timedelta(0) < lifetime <= MAX_LIFETIME:
        raise ValueError("a service token lives for at most 60 seconds")
    now = int(clock().timestamp())
    claims = {
        "aud": audience,
        "iat": now,
        "exp": now + int(lifetime.total_seconds()),
        "jti": secrets.token_urlsafe(12),
        "org": str(organization.id),
        "schema": organization.schema_name,
        "role": organization.role_name,
    }
    header = {"alg": _ALGORITHM, "typ": TYPE, "kid": key_id(private_key.public_key())}
    return jwt.encode(header, claims, OKPKey.import_key(private_key), algorithms=[_ALGORITHM])


def verify(
    token: str,
    *,
    public_keys: Sequence[Ed25519PublicKey],
    audience: str,
    clock: Clock = utc_now,
) -> OrganizationClaims:
    """The organization of a valid token; InvalidServiceToken otherwise.

    Several keys are accepted at once, so that the signing key can be renewed without a pause.
    """
    for public_key in public_keys:
        try:
            decoded = jwt.decode(token, OKPKey.import_key(public_key), algorithms=[_ALGORITHM])
        except (JoseError, ValueError):
            continue
        if decoded.header.get("typ") != TYPE:
            raise InvalidServiceToken("the token is of another type")
        return _checked(decoded.claims, audience=audience, now=clock().timestamp())
    raise InvalidServiceToken("the token is not signed by a known key")


def key_id(public_key: Ed25519PublicKey) -> str:
    """A short name of a key for the `kid` header, derived from the key itself."""
    raw = public_key.public_bytes(encoding=serialization.Encoding.Raw, format=serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """The key of a PEM file (PKCS #8) that only its owner may read."""
    raw = _read(path, others_allowed=False)
    try:
        key = serialization.load_pem_private_key(raw, password=None)
    except (ValueError, TypeError):
        raise ServiceKeyUnusable(f"{path} is not an unencrypted PEM private key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ServiceKeyUnusable(f"{path} is not an Ed25519 key")
    return key


def load_public_keys(path: Path) -> tuple[Ed25519PublicKey, ...]:
    """The keys of a PEM file: one, or several below each other while the signing key is renewed."""
    keys = []
    for block in _PEM_BLOCK.findall(_read(path, others_allowed=True)):
        try:
            key = serialization.load_pem_public_key(block)
        except ValueError:
            raise ServiceKeyUnusable(f"{path} holds a broken public key") from None
        if not isinstance(key, Ed25519PublicKey):
            raise ServiceKeyUnusable(f"{path} holds a key that is not Ed25519")
        keys.append(key)
    if not keys:
        raise ServiceKeyUnusable(f"{path} holds no PEM public key")
    return tuple(keys)


def create_key_pair(
    *,
    private_path: Path,
    public_path: Path,
    generate: Callable[[], Ed25519PrivateKey] = Ed25519PrivateKey.generate,
) -> None:
    """Write a new key pair: the private file 0600, the public one readable. Never overwrites."""
    key = generate()
    files = (
        (
            private_path,
            0o600,
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        ),
        (
            public_path,
            0o644,
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        ),
    )
    for path, mode, content in files:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)


def _checked(claims: Mapping[str, Any], *, audience: str, now: float) -> OrganizationClaims:
    if claims.get("aud") != audience:
        raise InvalidServiceToken("the token is for another audience")
    issued, expires = claims.get("iat"), claims.get("exp")
    if type(issued) is not int or type(expires) is not int:
        raise InvalidServiceToken("the token does not say how long it is valid")
    leeway = _LEEWAY.total_seconds()
    if expires - issued > MAX_LIFETIME.total_seconds():
        raise InvalidServiceToken("the token is valid for too long")
    if not issued - leeway <= now < expires + leeway:
        raise InvalidServiceToken("the token is not valid now")
    schema, role = claims.get("schema"), claims.get("role")
    try:
        organization_id = UUID(claims["org"])
    except (KeyError, ValueError, TypeError, AttributeError):
        raise InvalidServiceToken("the token names no organization") from None
    if not isinstance(schema, str) or not isinstance(role, str):
        raise InvalidServiceToken("the token names no schema and role")
    return OrganizationClaims(id=organization_id, schema_name=schema, role_name=role)


def _read(path: Path, *, others_allowed: bool) -> bytes:
    try:
        with path.open("rb") as file:
            if not others_allowed and os.fstat(file.fileno()).st_mode & 0o077:
                raise ServiceKeyUnusable(f"{path} can be read by others: chmod 600 it")
            return file.read()
    except OSError as error:
        raise ServiceKeyUnusable(f"{path} cannot be read: {error.strerror}") from None
