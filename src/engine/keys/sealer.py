"""Seals secrets that belong to a record and to no person: signing keys, provider credentials.

They stand directly under the organization key of the `secrets` tree. An old version of that key
keeps opening what it sealed; new secrets are sealed by the active one.
"""

from collections.abc import Callable
from uuid import UUID

from engine.keys import contexts, envelope
from engine.keys.tree import OrganizationKeyRow, OrganizationKeys


class UnknownKey(envelope.EnvelopeBroken):
    """Sealed under a key that this organization does not have."""


class Sealer:
    """One organization's secrets. `row_of(None)` finds the active key, `row_of(id)` that one."""

    def __init__(
        self,
        keys: OrganizationKeys,
        *,
        organization_id: UUID,
        row_of: Callable[[UUID | None], OrganizationKeyRow | None],
    ) -> None:
        self._keys = keys
        self._organization_id = organization_id
        self._row_of = row_of

    def seal(self, *, purpose_name: str, record_id: str, plaintext: bytes) -> bytes:
        """Seal for one use (`oauth.signing_key`) of one record; only the same pair opens it."""
        row = self._row(None)
        context = self._context(row, purpose_name, record_id)
        with self._keys.lend(row) as material:
            return envelope.seal(material, plaintext, key=row.name, context=context)

    def open(self, *, purpose_name: str, record_id: str, sealed: bytes) -> bytes:
        """The secret; EnvelopeBroken when it was sealed for something else or was changed."""
        row = self._row(envelope.name_of(sealed).id)
        context = self._context(row, purpose_name, record_id)
        with self._keys.lend(row) as material:
            return bytes(envelope.open_sealed(material, sealed, key=row.name, context=context))

    def _row(self, key_id: UUID | None) -> OrganizationKeyRow:
        row = self._row_of(key_id)
        if row is None or row.organization_id != self._organization_id or row.purpose != "secrets":
            raise UnknownKey("this organization has no such key for secrets")
        return row

    def _context(self, row: OrganizationKeyRow, purpose_name: str, record_id: str) -> contexts.Context:
        return contexts.secret(
            organization_id=self._organization_id,
            purpose_name=purpose_name,
            record_id=record_id,
            key_id=row.id,
        )
