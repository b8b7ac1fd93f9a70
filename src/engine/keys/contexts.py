"""What a ciphertext is bound to: named fields, encoded so that no two sets share an encoding.

A field that moves a byte from its value into its name, or from one value to the next, must not
give the same bytes; so every name and value carries its length, and the count stands in front.
"""

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Final, Literal
from uuid import UUID

Purpose = Literal["biometric", "documents", "secrets"]

PURPOSES: Final[tuple[Purpose, ...]] = ("biometric", "documents", "secrets")

Context = Mapping[str, str]

_DOMAIN: Final = b"keystead-context-1"
_LENGTH: Final = Struct(">I").pack


def encode(context: Context) -> bytes:
    """The canonical bytes of a context: domain, count, then (length, name, length, value) by name.

    Two contexts have the same bytes only when they hold the same names with the same values;
    an empty value is a value, and is not the same as an absent field.
    """
    parts = [_DOMAIN, _LENGTH(len(context))]
    for name in sorted(context):
        value = context[name].encode()
        parts += (_with_length(name), _LENGTH(len(value)), value)
    return b"".join(parts)


@lru_cache(maxsize=256)
def _with_length(name: str) -> bytes:
    """Cached, as there are few names, and a gallery encodes two contexts per template."""
    raw = name.encode()
    return _LENGTH(len(raw)) + raw


def organization_key(*, organization_id: UUID, purpose: Purpose, key_id: UUID, version: int) -> Context:
    """The context under which a KMS wraps an organization key."""
    return {
        "kind": "organization-key",
        "organization": str(organization_id),
        "purpose": purpose,
        "key": str(key_id),
        "version": str(version),
    }


def person_key(*, organization_id: UUID, purpose: Purpose, person_id: UUID, key_id: UUID) -> Context:
    """The context under which an organization key wraps the person key `key_id`."""
    return {
        "kind": "person-key",
        "organization": str(organization_id),
        "purpose": purpose,
        "person": str(person_id),
        "key": str(key_id),
    }


def template(
    *,
    organization_id: UUID,
    person_id: UUID,
    modality: str,
    model: str,
    version: int,
    key_id: UUID,
) -> Context:
    """The context of a sealed biometric template; `key_id` names the person key that seals it."""
    return {
        "kind": "template",
        "organization": str(organization_id),
        "purpose": "biometric",
        "person": str(person_id),
        "modality": modality,
        "model": model,
        "template-version": str(version),
        "key": str(key_id),
    }


def secret(*, organization_id: UUID, purpose_name: str, record_id: str, key_id: UUID) -> Context:
    """The context of a secret that belongs to a record and to no person (a signing key)."""
    return {
        "kind": "secret",
        "organization": str(organization_id),
        "purpose": "secrets",
        "use": purpose_name,
        "record": record_id,
        "key": str(key_id),
    }


def backup_key(*, organization_id: UUID, backup_id: UUID) -> Context:
    """The context under which a KMS wraps the key of one backup of an organization."""
    return {"kind": "backup-key", "organization": str(organization_id), "backup": str(backup_id)}


def backup_part(*, organization_id: UUID, backup_id: UUID, name: str, number: int) -> Context:
    """The context of one part of a backup: which content it belongs to, and its place in the whole."""
    return {
        "kind": "backup-part",
        "organization": str(organization_id),
        "backup": str(backup_id),
        "name": name,
        "number": str(number),
    }
