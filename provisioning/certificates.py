"""The signed statement of what was destroyed: a JWS (RFC 7515) with Ed25519, of a type of its own.

It is signed with the key that signs service tokens, whose type and audience keep the two apart
(docs/adr/0069-a-certificate-of-destruction.md).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from engine import canonical_json, service_tokens
from engine.errors import DomainError

TYPE = "keystead-destruction+jws"
_ALGORITHM = "Ed25519"


class CertificateInvalidError(DomainError):
    code = "certificate_invalid"
    status = 409
    title = "The certificate does not verify"


def sign(content: dict[str, Any]) -> str:
    """The certificate of `content`, signed with the platform's key."""
    key = platform_key()
    header = {"alg": _ALGORITHM, "typ": TYPE, "kid": service_tokens.key_id(key.public_key())}
    return jws.serialize_compact(
        header, canonical_json.encode(content), OKPKey.import_key(key), algorithms=[_ALGORITHM]
    )


def verify(certificate: str, *, public_keys: Sequence[Ed25519PublicKey]) -> dict[str, Any]:
    """What a certificate says. Raises CertificateInvalidError when none of the keys has signed it."""
    for key in public_keys:
        try:
            found = jws.deserialize_compact(certificate, OKPKey.import_key(key), algorithms=[_ALGORITHM])
        except (JoseError, ValueError):
            continue
        if found.headers().get("typ") != TYPE:
            raise CertificateInvalidError("It is a signature over something else.")
        content: dict[str, Any] = json.loads(found.payload)
        return content
    raise CertificateInvalidError("It was changed, or another key has signed it.")


def platform_key() -> Ed25519PrivateKey:
    """The key of this platform."""
    if settings.SERVICE_KEY_FILE is None:
        raise ImproperlyConfigured("KEYSTEAD_SERVICE_KEY_FILE is needed to sign certificates")
    return service_tokens.load_private_key(Path(settings.SERVICE_KEY_FILE))
