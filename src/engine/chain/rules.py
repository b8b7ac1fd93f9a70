"""The arithmetic of the chain. No Django.

    genesis      = SHA-256("keystead:<log>:" + organization id)
    hash(n)      = SHA-256(canonical JSON of {log, previous_hash, row, sequence})

so a seal vouches for the row, its number, everything before it, and the organization it belongs to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from engine import canonical_json

HASH_BYTES = 32


def genesis(*, log: str, organization_id: UUID) -> bytes:
    """What the first seal names as its predecessor."""
    return hashlib.sha256(f"keystead:{log}:{organization_id}".encode()).digest()


def link(*, log: str, sequence: int, previous_hash: bytes, row: Mapping[str, Any]) -> bytes:
    """The hash of seal number ``sequence`` over ``row``."""
    sealed = {
        "log": log,
        "previous_hash": previous_hash.hex(),
        "row": row,
        "sequence": sequence,
    }
    return hashlib.sha256(canonical_json.encode(sealed)).digest()


def moment(value: datetime) -> str:
    """A moment as text, to the microsecond that PostgreSQL keeps."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
