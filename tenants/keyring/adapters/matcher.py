"""The biometric tree, which the matcher alone may open."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from engine.keys.tree import OrganizationKeyRow, PersonKeyRow
from engine.matcher_client import MatcherClient
from engine.service_tokens import OrganizationClaims


class MatcherKeyHolder:
    """The biometric keys of one organization, behind the matcher's API."""

    def __init__(self, *, client: MatcherClient, organization: OrganizationClaims) -> None:
        self._client = client
        self._organization = organization

    def new_organization_key(self, *, key_id: UUID, version: int) -> OrganizationKeyRow:
        """A new organization key, wrapped by the matcher's KMS."""
        answer = self._client.call(
            "/v1/organization-keys",
            {"key_id": str(key_id), "version": version},
            organization=self._organization,
        )
        return OrganizationKeyRow(
            id=key_id,
            organization_id=self._organization.id,
            purpose="biometric",
            version=version,
            wrapped=b64decode(answer["wrapped"]),
            kms_key_id=answer["kms_key_id"],
        )

    def new_person_key(self, *, organization_key: OrganizationKeyRow, key_id: UUID, person_id: UUID) -> PersonKeyRow:
        """A new person key; the matcher reads the organization key from the database itself."""
        answer = self._client.call(
            "/v1/person-keys",
            {
                "key_id": str(key_id),
                "person_id": str(person_id),
                "organization_key_version": organization_key.version,
            },
            organization=self._organization,
        )
        return PersonKeyRow(
            id=key_id,
            organization_id=self._organization.id,
            person_id=person_id,
            purpose="biometric",
            wrapped=b64decode(answer["wrapped"]),
        )

    def rewrap(
        self, rows: Sequence[PersonKeyRow], *, old: OrganizationKeyRow, new: OrganizationKeyRow
    ) -> list[PersonKeyRow]:
        """The same person keys under another version."""
        answer = self._client.call(
            "/v1/person-keys/rewrap",
            {
                "from_version": old.version,
                "to_version": new.version,
                "person_keys": [
                    {
                        "key_id": str(row.id),
                        "person_id": str(row.person_id),
                        "wrapped": b64encode(row.wrapped).decode(),
                    }
                    for row in rows
                ],
            },
            organization=self._organization,
        )
        wrapped = {UUID(key["key_id"]): b64decode(key["wrapped"]) for key in answer["person_keys"]}
        return [replace(row, wrapped=wrapped[row.id]) for row in rows]

    def evict(self, *, person_id: UUID) -> None:
        """Take the person out of every gallery in memory."""
        self._client.call("/v1/evict", {"person_id": str(person_id)}, organization=self._organization)

    def drop(self) -> None:
        """Overwrite the organization's galleries and keys in the matcher's memory."""
        self._client.call("/v1/drop", {}, organization=self._organization)
