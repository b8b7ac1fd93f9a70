"""Which releases' backups this release can restore: its own, and those whose migrations it still has."""

from __future__ import annotations

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from psycopg import sql

from engine.tenancy import roles
from engine.tenancy.context import owner_schema
from provisioning import schemas
from provisioning.backups.archive import ArchiveRefusedError, Manifest


def require_known(manifest: Manifest) -> None:
    """Raise ArchiveRefusedError unless the schema of that backup can be made here, exactly."""
    if manifest.fingerprint == schemas.fingerprint():
        return
    names = frozenset((app, name) for app, name in manifest.migrations)
    if not schemas.same_migrations(schemas.fingerprint_of(names), manifest.fingerprint):
        raise ArchiveRefusedError(
            f"It has the migrations {manifest.fingerprint[:12]}, of a newer or unknown release; this one has "
            f"{schemas.fingerprint()[:12]}. Restore it with the release that made it, then upgrade."
        )


def make_schema(*, schema: str, role: str, fingerprint: str, migrations: list[list[str]]) -> None:
    """An empty schema with the structure of a backup's release. Safe to run again."""
    schemas.require_owner_login()
    if fingerprint == schemas.fingerprint():
        schemas.create(schema=schema, role=role)
        return
    with schemas.owner_connection() as raw, raw.transaction():
        raw.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
        roles.create_organization_role(raw, role=role, login_secret=schemas.login_secret())
        roles.create_organization_schema(raw, schema=schema, role=role)
    # Of each app the last: naming an earlier one beside it would take the later back.
    last: dict[str, str] = dict(sorted((app, name) for app, name in migrations))
    with owner_schema(schema):
        MigrationExecutor(connection).migrate(sorted(last.items()))
