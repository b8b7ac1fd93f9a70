"""Asking for a backup or a restore: what is refused, what is recorded, and the flow that does it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from psycopg import errors, sql

from engine import ids
from engine.errors import Conflict, NotFound
from engine.principals import Principal
from engine.tenancy.context import public_schema
from provisioning import flows, organizations, pool, schemas
from provisioning.backups import archive, keys, places, versions
from provisioning.backups.archive import ArchiveRefusedError, Manifest
from provisioning.models import Backup, Flow, FlowKind, FlowStatus
from provisioning.organizations import OrganizationGoneError
from shared.operator_log import services as operator_log
from shared.organizations.models import GONE, Organization, OrganizationStatus
from shared.plans.models import Plan


class Mode(StrEnum):
    """Where a restored organization stands."""

    IN_PLACE = "in_place"
    """Its schema is gone."""
    AS_COPY = "as_copy"
    """Beside the living one, then instead of it."""
    INTO_FRESH = "into_fresh"
    """In a database that does not know it."""


class FlowUnderWayError(Conflict):
    code = "flow_under_way"
    title = "Something else is being done with this organization"


class ModeError(Conflict):
    code = "restore_mode"
    title = "Say how to restore"


def request_backup(*, organization: Organization, by: Principal, to: Path | None = None) -> Flow:
    """Record a backup and the flow that takes it. Without `to` it goes to the platform's blob store.

    Call inside `public_schema()`. Raises FlowUnderWayError and PlaceUnusableError.
    """
    backup_id = ids.uuid7()
    location = (
        places.file_location(to)
        if to is not None
        else places.blob_location(organization_id=organization.id, backup_id=backup_id)
    )
    if not organization.schema_fingerprint:
        raise FlowUnderWayError(f"{organization.slug} has no schema yet: there is nothing to back up.")
    try:
        with transaction.atomic():
            backup = Backup.objects.create(id=backup_id, organization=organization, location=location)
            operator_log.record(
                action="backup.requested", by=by, organization_id=organization.id, detail={"backup": backup.public_id}
            )
            return flows.start(
                kind=FlowKind.BACKUP,
                organization=organization,
                parameters={"backup_id": str(backup_id)},
                anywhere=to is None,
            )
    except IntegrityError as error:
        raise FlowUnderWayError(f"{organization.slug} is being backed up.") from error


def request_restore(*, location: str, by: Principal, mode: Mode | None = None) -> Flow:
    """Check an archive from its first byte to its last, then record the flow that restores it.

    Nothing is written before all of it was checked. Call outside every context, with the owner's login.
    Raises ArchiveRefusedError, ArchiveKeyUnavailableError, PlaceUnusableError, OffboardedError, ModeError
    and FlowUnderWayError.
    """
    schemas.require_owner_login()
    manifest = check(location=location)
    versions.require_known(manifest)
    organization_id = UUID(manifest.organization)
    keys.refuse_offboarded(organization_id)
    names = pool.new_names()
    parameters: dict[str, Any] = {
        "location": location,
        "backup_id": manifest.backup,
        "fingerprint": manifest.fingerprint,
        "schema": names.schema,
        "role": names.role,
    }
    if manifest.fingerprint != schemas.fingerprint():
        parameters["migrations"] = manifest.migrations
    with public_schema():
        row = Organization.objects.filter(id=organization_id).first()
    if row is None:
        return _into_fresh(manifest, parameters, mode=mode, by=by)
    return _over(row, manifest, parameters, mode=mode, by=by)


def drop_superseded(*, organization: Organization) -> list[str]:
    """Drop the schemas and roles that restores have taken out of use; answers the schemas' names.

    Safe to run again. Call outside every context, with the owner's login.
    """
    schemas.require_owner_login()
    with public_schema():
        done = list(Flow.objects.filter(organization=organization, kind=FlowKind.RESTORE, status=FlowStatus.SUCCEEDED))
        organization.refresh_from_db()
    dropped = []
    with schemas.owner_connection() as raw:
        for flow in done:
            schema, role = flow.parameters["old_schema"], flow.parameters["old_role"]
            if not schema or schema == organization.schema_name:
                continue
            if raw.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]).fetchone():
                raw.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
                dropped.append(schema)
            try:
                raw.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
            except errors.DependentObjectsStillExist:
                # Roles belong to the server: another database of it still has a copy.
                continue
    return dropped


def backup_of(*, flow: Flow) -> Backup:
    """The backup that a flow takes. Inside `public_schema()`."""
    return Backup.objects.get(id=UUID(flow.parameters["backup_id"]))


def locate(name: str) -> str:
    """Where an archive stands: the name is a path, `blob:..`, or a backup's id. Raises NotFound."""
    if name.startswith(places.BLOB):
        return name
    try:
        backup_id = ids.decode(Backup.id_prefix, name)
    except ids.InvalidId:
        return str(Path(name).absolute())
    with public_schema():
        found = Backup.objects.filter(id=backup_id).first()
    if found is None:
        raise NotFound("There is no such backup.")
    return found.location


def check(*, location: str) -> Manifest:
    """What a whole, unchanged archive holds. Raises ArchiveRefusedError, ArchiveKeyUnavailableError."""
    with places.read(location) as file:
        return archive.verify(file, kms=keys.kms())


def open_restore(*, location: str) -> Flow | None:
    """The restore from there that was begun and has not ended."""
    with public_schema():
        return Flow.objects.filter(kind=FlowKind.RESTORE, status__in=flows.OPEN, parameters__location=location).first()


def _over(
    row: Organization, manifest: Manifest, parameters: dict[str, Any], *, mode: Mode | None, by: Principal
) -> Flow:
    if row.status in GONE:
        raise OrganizationGoneError("Nothing of it is brought back.")
    with schemas.owner_connection() as raw:
        lives = raw.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [row.schema_name]).fetchone() is not None
    if mode is Mode.INTO_FRESH:
        raise ModeError(f"This database knows {row.slug}: leave out --into-fresh.")
    if lives and mode is not Mode.AS_COPY:
        raise ModeError(f"{row.slug} is alive. Say --as-copy to put the restored copy in its place.")
    changed = [
        name
        for name in Organization.FIXED
        if name not in ("schema_name", "role_name") and manifest.organization_row[name] != getattr(row, name)
    ]
    if changed:
        raise ArchiveRefusedError(f"It is of another organization than {row.slug}: {', '.join(changed)} differ.")
    parameters |= {
        "mode": Mode.AS_COPY if lives else Mode.IN_PLACE,
        "old_schema": row.schema_name,
        "old_role": row.role_name,
        "reopen_as": _status_after(row.status),
    }
    with public_schema(), transaction.atomic():
        locked = organizations.locked(row.id)
        if locked.schema_name != row.schema_name:
            raise FlowUnderWayError("It was restored at this instant.")
        return _start(locked, parameters, by=by)


def _into_fresh(manifest: Manifest, parameters: dict[str, Any], *, mode: Mode | None, by: Principal) -> Flow:
    if mode is not Mode.INTO_FRESH:
        raise ModeError(
            f"This database does not know {manifest.slug} ({ids.encode('org', UUID(manifest.organization))}). "
            "Say --into-fresh to make it here, or check that this is its backup."
        )
    row = {
        **manifest.organization_row,
        "schema_name": parameters["schema"],
        "role_name": parameters["role"],
        "schema_fingerprint": "",
        "status": OrganizationStatus.SUSPENDED,
    }
    parameters |= {
        "mode": Mode.INTO_FRESH,
        "old_schema": "",
        "old_role": "",
        "reopen_as": _status_after(manifest.organization_row["status"]),
    }
    try:
        with public_schema(), transaction.atomic():
            plan = Plan.objects.filter(code=manifest.plan_row["code"]).first()
            if plan is None:
                _insert("plans_plan", manifest.plan_row)
            _insert("organizations_organization", row | ({"plan_id": str(plan.id)} if plan else {}))
            for domain in manifest.public_rows["organizations_domain"]:
                _insert("organizations_domain", domain)
            for flow in manifest.public_rows["provisioning_flow"]:
                # History only: what was under way there is not under way here.
                ended = flow["status"] not in flows.OPEN
                _insert("provisioning_flow", flow | ({} if ended else {"status": FlowStatus.CANCELLED}))
            return _start(Organization.objects.get(id=row["id"]), parameters, by=by)
    except IntegrityError as error:
        raise Conflict(
            f"Another organization of this database has its slug, issuer or host ({manifest.slug})."
        ) from error


def _start(row: Organization, parameters: dict[str, Any], *, by: Principal) -> Flow:
    other = row.flows.filter(status__in=flows.OPEN).exclude(kind=FlowKind.BACKUP).first()
    if other is not None:
        raise FlowUnderWayError(f"{other.public_id} ({other.kind}) is at its step {other.step}.")
    detail = {"backup": ids.encode(Backup.id_prefix, UUID(parameters["backup_id"])), "mode": parameters["mode"]}
    operator_log.record(action="restore.requested", by=by, organization_id=row.id, detail=detail)
    anywhere = parameters["location"].startswith(places.BLOB)
    return flows.start(kind=FlowKind.RESTORE, organization=row, parameters=parameters, anywhere=anywhere)


def _status_after(status: str) -> str:
    """Active again, unless it was closed for a reason of its own."""
    return OrganizationStatus.ACTIVE if status == OrganizationStatus.ACTIVE else OrganizationStatus.SUSPENDED


def _insert(table: str, row: dict[str, Any]) -> None:
    """Write a row as it was read; columns that are new since then take their defaults."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [table],
        )
        columns = sql.SQL(", ").join(sql.Identifier(name) for (name,) in cursor.fetchall() if name in row)
        cursor.execute(
            sql.SQL(
                "INSERT INTO {table} ({columns}) SELECT {columns} FROM json_populate_record(null::{table}, %s)"
            ).format(table=sql.Identifier(table), columns=columns),
            [json.dumps(row)],
        )
