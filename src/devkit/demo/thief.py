"""A thief who holds the database and may use the key service: everything but what was deleted.

This looks behind the API on purpose. It uses the platform's own decryption, since an attacker who
has come so far has the source code as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from devkit.stack import Stack
from engine import ids
from engine.keys import contexts, envelope, tree
from engine.keys.kms import open_kms
from engine.keys.tree import OrganizationKeyRow, OrganizationKeys, PersonKeyRow


@dataclass(frozen=True, slots=True)
class Ciphertext:
    """A stored template."""

    organization_id: UUID
    person_id: UUID
    modality: str
    model: str
    version: int
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Loot:
    """One person's ciphertexts, and every biometric key that the organization's tables hold."""

    sealed: tuple[Ciphertext, ...]
    organization_keys: dict[int, OrganizationKeyRow]
    person_keys: tuple[tuple[int, PersonKeyRow], ...]


def loot(stack: Stack, *, slug: str, person: str) -> Loot:
    """Copy them with the login of the tables' owner."""
    person_id = ids.decode("per", person)
    with psycopg.connect(stack.databases.owner) as owner:
        found = owner.execute(
            "SELECT id, schema_name FROM public.organizations_organization WHERE slug = %s", [slug]
        ).fetchone()
        if found is None:
            raise LookupError(slug)
        organization_id, schema = found

        def rows(columns: str, table: str, where: str, *values: Any) -> list[tuple[Any, ...]]:
            query = sql.SQL("SELECT {} FROM {} WHERE {}").format(
                sql.SQL(columns), sql.Identifier(schema, table), sql.SQL(where)
            )
            return owner.execute(query, values).fetchall()

        sealed = rows("modality, model, version, sealed", "identity_template", "person_id = %s", person_id)
        organization_keys = rows("id, version, wrapped, kms_key_id", "keyring_organizationkey", "purpose = 'biometric'")
        person_keys = rows(
            "id, person_id, organization_key_version, wrapped", "keyring_personkey", "purpose = 'biometric'"
        )
    return Loot(
        sealed=tuple(
            Ciphertext(organization_id, person_id, modality, model, version, bytes(ciphertext))
            for modality, model, version, ciphertext in sealed
        ),
        organization_keys={
            version: OrganizationKeyRow(key_id, organization_id, "biometric", version, bytes(wrapped), kms_key)
            for key_id, version, wrapped, kms_key in organization_keys
        },
        person_keys=tuple(
            (version, PersonKeyRow(key_id, organization_id, whose, "biometric", bytes(wrapped)))
            for key_id, whose, version, wrapped in person_keys
        ),
    )


def opens(stack: Stack, stolen: Loot) -> bool:
    """Whether any of the stolen keys opens any of the stolen ciphertexts."""
    keys = OrganizationKeys(open_kms(stack.configuration.environment("matcher")["KEYSTEAD_KMS_URL"]))
    try:
        return any(
            _opens(keys, stolen.organization_keys[version], row, one)
            for version, row in stolen.person_keys
            for one in stolen.sealed
        )
    finally:
        keys.forget()


def _opens(keys: OrganizationKeys, organization_key: OrganizationKeyRow, row: PersonKeyRow, one: Ciphertext) -> bool:
    context = contexts.template(
        organization_id=one.organization_id,
        person_id=one.person_id,
        modality=one.modality,
        model=one.model,
        version=one.version,
        key_id=row.id,
    )
    person_key = tree.open_person_key(keys, organization_key, row)
    try:
        with person_key.use() as material:
            return bool(envelope.open_sealed(material, one.sealed, key=row.name, context=context))
    except envelope.EnvelopeBroken:
        return False
    finally:
        person_key.wipe()
