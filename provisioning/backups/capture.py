"""Taking a backup: everything of one organization as of one moment, as the bytes of an archive."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, cast
from uuid import UUID

from psycopg import sql

from engine import ids
from engine.errors import Conflict
from engine.keys.kms import Kms
from provisioning import schemas
from provisioning.backups import tables
from provisioning.backups.archive import SHAPES, Manifest, Row, Table, Writer, encode_shapes
from provisioning.backups.tables import Connection
from shared.organizations.models import Organization

PUBLIC_TABLES = ("organizations_domain", "provisioning_flow")
"""What else of an organization stands in the public schema. Its outbox does not count: see ADR 0071."""


class StructureChangedError(Conflict):
    """A migration came between the snapshot and the locks. Nothing was written."""

    code = "backup_disturbed"
    title = "The organization is being migrated; take the backup again"


def archive(*, organization: Organization, backup_id: UUID, kms: Kms) -> Iterator[bytes]:
    """The bytes of a backup. The organization, and everybody else, works on meanwhile."""
    schema = organization.schema_name
    writer = Writer(backup_id, organization.id, kms)
    with tables.snapshot(schema=schema) as raw:
        row = _one(raw, "SELECT row_to_json(t) FROM public.organizations_organization t WHERE id = %s", organization.id)
        _refuse_changed(schema, row)
        shapes = tables.in_order(raw, schema=schema)
        yield from writer.header()
        yield from writer.parts(SHAPES, [encode_shapes(shapes)])
        held = []
        for shape in shapes:
            counted = _Counted(tables.rows(raw, schema=schema, shape=shape))
            yield from writer.parts(shape.name, counted)
            held.append(Table(shape.name, shape.columns, shape.key, counted.rows, counted.digest.hexdigest()))
        yield from writer.manifest(_manifest(raw, organization, backup_id, row, held, parts=writer.number))


class _Counted:
    """Rows on their way, counted and hashed."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self.rows = 0
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.rows += 1
            self.digest.update(row)
            yield row


def _manifest(
    raw: Connection, organization: Organization, backup_id: UUID, row: dict[str, Any], held: list[Table], *, parts: int
) -> Manifest:
    schema = organization.schema_name
    labels = schemas.organization_app_labels()
    migrations = _rows(raw, schema, "SELECT app::text, name::text FROM {schema}.django_migrations ORDER BY app, name")
    keys = _rows(raw, schema, "SELECT row_to_json(k) FROM (SELECT id, purpose, version, state, kms_key_id"
                              " FROM {schema}.keyring_organizationkey ORDER BY purpose, version) k")  # fmt: skip
    taken = raw.execute("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')").fetchone()
    return Manifest(
        backup=str(backup_id),
        organization=str(organization.id),
        slug=row["slug"],
        taken_at=cast(tuple[str], taken)[0],
        fingerprint=row["schema_fingerprint"],
        migrations=[[app, name] for app, name in migrations if app in labels],
        organization_row=row,
        plan_row=_one(raw, "SELECT row_to_json(t) FROM public.plans_plan t WHERE id = %s", UUID(row["plan_id"])),
        public_rows={table: _public_rows(raw, table, organization.id) for table in PUBLIC_TABLES},
        keys=[key for (key,) in keys],
        logs={
            "events": sum(n for (n,) in _rows(raw, schema, "SELECT sequence FROM {schema}.events_head")),
            "audit": sum(n for (n,) in _rows(raw, schema, "SELECT sequence FROM {schema}.audit_head")),
        },
        tables=held,
        parts=parts,
    )


def _refuse_changed(schema: str, row: dict[str, Any]) -> None:
    """The tables are locked by now: what a connection of now sees is what the snapshot has to have seen."""
    with schemas.owner_connection() as now:
        found = now.execute(
            "SELECT schema_name, schema_fingerprint FROM public.organizations_organization WHERE id = %s", [row["id"]]
        ).fetchone()
    if found != (row["schema_name"], row["schema_fingerprint"]) or row["schema_name"] != schema:
        raise StructureChangedError(f"{ids.encode('org', UUID(row['id']))} has another schema than a moment ago.")


def _one(raw: Connection, query: str, value: UUID) -> dict[str, Any]:
    found = raw.execute(query, [value]).fetchone()
    if found is None:
        raise StructureChangedError("The organization's row is gone.")
    return cast(dict[str, Any], found[0])


def _rows(raw: Connection, schema: str, query: str) -> list[tuple[Any, ...]]:
    return raw.execute(sql.SQL(query).format(schema=sql.Identifier(schema))).fetchall()


def _public_rows(raw: Connection, table: str, organization_id: UUID) -> list[dict[str, Any]]:
    query = sql.SQL("SELECT row_to_json(t) FROM {} t WHERE organization_id = %s ORDER BY id")
    found = raw.execute(query.format(sql.Identifier("public", table)), [organization_id]).fetchall()
    return [row for (row,) in found]
