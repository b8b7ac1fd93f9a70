"""The erasure journal: which people and organizations were erased, kept where a restored database cannot undo it.

An erasure is written here before it is acknowledged. A backup that was taken earlier still holds the
wrapped keys, so a restore does not open until the journal is replayed; that of an erased organization never does.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from engine.blobs.store import BlobExists, BlobNotFound, BlobStore


class JournalBroken(Exception):
    """An entry of the journal cannot be read. A restore must not open past it."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """One person of one organization, erased at a time (UTC)."""

    organization_id: UUID
    person_id: UUID
    erased_at: datetime


@dataclass(frozen=True, slots=True)
class OrganizationErasure:
    """A whole organization, whose keys of all purposes were destroyed from a time (UTC) on."""

    organization_id: UUID
    erased_at: datetime
    key_ids: tuple[UUID, ...]


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

    def record_organization(self, erasure: OrganizationErasure) -> OrganizationErasure:
        """Write an organization's erasure durably, and return what stands written: a repeat keeps the first."""
        content = {
            "format": 1,
            "organization_id": str(erasure.organization_id),
            "erased_at": erasure.erased_at.isoformat(),
            "key_ids": [str(one) for one in erasure.key_ids],
        }
        with suppress(BlobExists):
            self._store.write(_organization_name(erasure.organization_id), json.dumps(content, sort_keys=True).encode())
        return self.organization(erasure.organization_id) or erasure

    def organization(self, organization_id: UUID) -> OrganizationErasure | None:
        """The erasure of a whole organization, None while it was not erased. A restore has to ask."""
        name = _organization_name(organization_id)
        try:
            record = json.loads(self._store.read(name))
            found = OrganizationErasure(
                organization_id=UUID(record["organization_id"]),
                erased_at=datetime.fromisoformat(record["erased_at"]),
                key_ids=tuple(UUID(one) for one in record["key_ids"]),
            )
        except BlobNotFound:
            return None
        except (ValueError, KeyError, TypeError):
            raise JournalBroken(f"{name} is not an erasure of format 1") from None
        if found.organization_id != organization_id:
            raise JournalBroken(f"{name} speaks of another organization")
        return found


def _organization_name(organization_id: UUID) -> str:
    # Beside the people's folder: whoever reads that one expects people in it.
    return f"erased-organizations/{organization_id}.json"


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
