"""The erasure journal: which people were erased, kept where a restored database cannot undo it.

A person's erasure is written here before it is acknowledged. A backup that was taken earlier still
holds the person's wrapped keys, so a restore does not open until the journal is replayed.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from engine.blobs.store import BlobExists, BlobStore


class JournalBroken(Exception):
    """An entry of the journal cannot be read. A restore must not open past it."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """One person of one organization, erased at a time (UTC)."""

    organization_id: UUID
    person_id: UUID
    erased_at: datetime


class ErasureJournal:
    """The journal of all organizations in one blob store."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store

    def record(self, erasure: Erasure) -> None:
        """Write an erasure durably. A repeat keeps the first entry."""
        content = {
            "format": 1,
            "organization_id": str(erasure.organization_id),
            "person_id": str(erasure.person_id),
            "erased_at": erasure.erased_at.isoformat(),
        }
        with suppress(BlobExists):
            self._store.write(
                _name(erasure.organization_id, erasure.person_id),
                json.dumps(content, sort_keys=True).encode(),
            )

    def of_organization(self, organization_id: UUID) -> Iterator[Erasure]:
        """All erasures of an organization, to be replayed after a restore."""
        for name in self._store.names(f"erasures/{organization_id}/"):
            erasure = _parse(name, self._store.read(name))
            if name != _name(erasure.organization_id, erasure.person_id):
                raise JournalBroken(f"{name} speaks of another person")
            yield erasure


def _name(organization_id: UUID, person_id: UUID) -> str:
    return f"erasures/{organization_id}/{person_id}.json"


def _parse(name: str, content: bytes) -> Erasure:
    try:
        record = json.loads(content)
        return Erasure(
            organization_id=UUID(record["organization_id"]),
            person_id=UUID(record["person_id"]),
            erased_at=datetime.fromisoformat(record["erased_at"]),
        )
    except (ValueError, KeyError, TypeError):
        raise JournalBroken(f"{name} is not an erasure of format 1") from None
