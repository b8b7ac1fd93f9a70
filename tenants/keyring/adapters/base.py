"""The port to whoever may open one tree of keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from engine.keys.tree import OrganizationKeyRow, PersonKeyRow


class KeyHolder(Protocol):
    """Makes keys of one purpose and moves them between versions. Keys in clear stay inside."""

    def new_organization_key(self, *, key_id: UUID, version: int) -> OrganizationKeyRow:
        """A new organization key, wrapped by the KMS."""

    def new_person_key(self, *, organization_key: OrganizationKeyRow, key_id: UUID, person_id: UUID) -> PersonKeyRow:
        """A new person key, wrapped by the organization key."""

    def rewrap(
        self, rows: Sequence[PersonKeyRow], *, old: OrganizationKeyRow, new: OrganizationKeyRow
    ) -> list[PersonKeyRow]:
        """The same person keys under another version, in the order given."""

    def evict(self, *, person_id: UUID) -> None:
        """Forget everything in clear that belongs to a person. Done when this returns."""

    def drop(self) -> None:
        """Forget everything in clear that belongs to the organization. Done when this returns."""
