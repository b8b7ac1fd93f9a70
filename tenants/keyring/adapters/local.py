"""The trees that this process may open itself: documents and secrets."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from engine.keys import tree
from engine.keys.contexts import Purpose
from engine.keys.kms import Kms
from engine.keys.tree import OrganizationKeyRow, OrganizationKeys, PersonKeyRow


class LocalKeyHolder:
    """Keys of one purpose and organization, opened with the KMS of this process."""

    def __init__(self, *, kms: Kms, keys: OrganizationKeys, organization_id: UUID, purpose: Purpose) -> None:
        self._kms = kms
        self._keys = keys
        self._organization_id = organization_id
        self._purpose = purpose

    def new_organization_key(self, *, key_id: UUID, version: int) -> OrganizationKeyRow:
        """A new organization key that only the KMS has seen in clear."""
        return tree.new_organization_key(
            self._kms, key_id=key_id, organization_id=self._organization_id, purpose=self._purpose, version=version
        )

    def new_person_key(self, *, organization_key: OrganizationKeyRow, key_id: UUID, person_id: UUID) -> PersonKeyRow:
        """A new person key."""
        return tree.new_person_key(self._keys, organization_key, key_id=key_id, person_id=person_id)

    def rewrap(
        self, rows: Sequence[PersonKeyRow], *, old: OrganizationKeyRow, new: OrganizationKeyRow
    ) -> list[PersonKeyRow]:
        """The same person keys under another version."""
        return [tree.rewrap_person_key(self._keys, row, old=old, new=new) for row in rows]

    def evict(self, *, person_id: UUID) -> None:
        """Nothing of a person is kept in clear here."""

    def drop(self) -> None:
        """Overwrite the organization's keys in this process's memory; elsewhere they expire (engine.keys.tree)."""
        self._keys.forget(self._organization_id)
