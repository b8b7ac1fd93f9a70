"""The steps that restore an organization: beside what lives, checked, then switched in by one short transaction.

Until `close` nothing that others see has changed. From there to the end the organization is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db import transaction
from psycopg import sql

from engine.clock import utc_now
from engine.outbox import claims
from engine.outbox.execution import SUSPENDED_REASON
from engine.tenancy import directory
from engine.tenancy.context import OrganizationContext, organization, public_schema
from provisioning import organizations, rules, schemas
from provisioning.backups import keys, places, settling, tables, versions
from provisioning.backups.archive import SHAPES, ArchiveRefusedError, Manifest, Reader, decode_shapes
from provisioning.backups.tables import Loader
from provisioning.models import Flow
from provisioning.rules import Wait
from shared.organizations.models import Organization, OrganizationStatus

UNKNOWN_END = 1_000_000
"""How far the numbers of a sealed log go on behind the backup's when nobody knows where the lost log ended."""


def make_schema(flow: Flow) -> None:
    """An empty schema of the backup's release, under a name and a role that nobody has used."""
    given = flow.parameters
    versions.make_schema(
        schema=given["schema"],
        role=given["role"],
        fingerprint=given["fingerprint"],
        migrations=given.get("migrations", []),
    )


def load(flow: Flow) -> None:
    """All rows, read back and held against the manifest, in one transaction: equal, or not there."""
    schema = flow.parameters["schema"]
    with (
        places.read(flow.parameters["location"]) as file,
        Reader(file, kms=keys.kms()) as reader,
        schemas.owner_connection() as raw,
        raw.transaction(),
    ):
        loader = Loader(raw, schema=schema)
        loader.empty()
        parts = reader.parts()
        shapes = {shape.name: shape for shape in decode_shapes(next(parts)[1])}
        for name, group in groupby(parts, key=lambda part: part[0]):
            if name not in shapes or name == SHAPES:
                raise ArchiveRefusedError(f"It holds {name}, of which it does not say what it is.")
            loader.fill(shapes[name], _contents(group))
        loader.count_on()
        _compare(raw, schema, reader.manifest, flow)


def migrate(flow: Flow) -> None:
    """An older release's rows, brought to this one's structure."""
    given = flow.parameters
    if given["fingerprint"] != schemas.fingerprint():
        schemas.migrate_organization(schema=given["schema"], role=given["role"])


def close(flow: Flow) -> Wait | None:
    """Nobody is served any more, and nothing more is written to the schema that goes out of use."""
    given = flow.parameters
    if "closed_at" not in given:
        _close(flow)
    if not _exists(given["old_schema"]):
        return None
    heard = datetime.fromisoformat(given["closed_at"]) + rules.HEARD_EVERYWHERE
    if heard > utc_now():
        return Wait(heard)
    with schemas.owner_connection() as raw:
        raw.execute(
            sql.SQL("REVOKE USAGE ON SCHEMA {} FROM {}").format(
                sql.Identifier(given["old_schema"]), sql.Identifier(given["old_role"])
            )
        )
    return None


def _close(flow: Flow) -> None:
    with public_schema(), transaction.atomic():
        row = organizations.locked(flow.organization_id)
        # It may have been suspended or resumed since the restore was asked for.
        reopen_as = flow.parameters["reopen_as"] if flow.parameters["mode"] == "into_fresh" else row.status
        Organization.objects.filter(id=row.id).update(status=OrganizationStatus.SUSPENDED)
        _note(flow, closed_at=utc_now().isoformat(), reopen_as=reopen_as)
    directory.forget()


def settle(flow: Flow) -> None:
    """What a backup cannot know is made safe: erasures, payments under way, what waited to be sent."""
    given = flow.parameters
    old = given["old_schema"] if _exists(given["old_schema"]) else ""
    if "ends" not in given:
        with schemas.owner_connection() as raw:
            ends = {log: _end_of(raw, old, log) if old else _end_of(raw, given["schema"], log) + UNKNOWN_END
                    for log in settling.LOGS}  # fmt: skip
        _note(flow, ends=ends)
    if old:
        settling.carry_answers(old_schema=old, schema=given["schema"])
    with organization(_copy(flow)):
        settling.settle(flow_id=flow.id, backup_id=UUID(given["backup_id"]), ends=given["ends"])


def switch(flow: Flow) -> None:
    """The organization's row names the copy. What waited to be done for the old schema is not done."""
    given = flow.parameters
    with schemas.owner_connection() as raw:
        raw.execute(
            "UPDATE public.organizations_organization SET schema_name = %s, role_name = %s, schema_fingerprint = %s,"
            " updated_at = now() WHERE id = %s",
            [given["schema"], given["role"], schemas.fingerprint(), flow.organization_id],
        )
    directory.forget()
    if given["old_role"]:
        claims.discard(org_role=given["old_role"])
    # Until now nobody knew whose the copy's own messages were.
    claims.begin_anew(org_role=given["role"])


def reopen(flow: Flow) -> Wait | None:
    """Open once no terminal can hold a probe from before that still counts as fresh."""
    keys.refuse_offboarded(flow.organization_id)
    with organization(_copy(flow)):
        settling.replay_erasures()
        freshness = settling.probe_freshness()
    safe = datetime.fromisoformat(flow.parameters["closed_at"]) + freshness
    if safe > utc_now():
        return Wait(safe)
    with public_schema():
        Organization.objects.filter(id=flow.organization_id, status=OrganizationStatus.SUSPENDED).update(
            status=flow.parameters["reopen_as"]
        )
    directory.forget()
    _note(flow, opened_at=utc_now().isoformat())
    return None


def take_up(flow: Flow) -> Wait | None:
    """What workers had put off is due now, once all of them know that it is open."""
    heard = datetime.fromisoformat(flow.parameters["opened_at"]) + rules.HEARD_EVERYWHERE
    if heard > utc_now():
        return Wait(heard)
    claims.hurry(org_role=flow.parameters["role"], held=SUSPENDED_REASON)
    return None


def _contents(group: Iterator[tuple[str, bytes]]) -> Iterator[bytes]:
    for _, content in group:
        yield content


def _compare(raw: tables.Connection, schema: str, manifest: Manifest | None, flow: Flow) -> None:
    if manifest is None or manifest.backup != flow.parameters["backup_id"]:
        raise ArchiveRefusedError(f"{flow.parameters['location']} is another file than the one that was checked.")
    for table in manifest.tables:
        if tables.tally(raw, schema=schema, shape=table) != (table.rows, table.sha256):
            raise ArchiveRefusedError(f"{table.name} was loaded and reads back differently; nothing was kept.")


def _copy(flow: Flow) -> OrganizationContext:
    """The organization, in the schema that is being restored."""
    return replace(
        flow.organization.context(), schema_name=flow.parameters["schema"], role_name=flow.parameters["role"]
    )


def _exists(schema: str) -> bool:
    with schemas.owner_connection() as raw:
        return raw.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]).fetchone() is not None


def _end_of(raw: tables.Connection, schema: str, log: str) -> int:
    row = raw.execute(sql.SQL("SELECT sequence FROM {}").format(sql.Identifier(schema, f"{log}_head"))).fetchone()
    return int(row[0]) if row else 0


def _note(flow: Flow, **values: Any) -> None:
    flow.parameters |= values
    with public_schema():
        Flow.objects.filter(id=flow.id).update(parameters=flow.parameters)


STEPS: Mapping[str, Callable[[Flow], Wait | None]] = {
    "schema": make_schema,
    "load": load,
    "migrate": migrate,
    "close": close,
    "settle": settle,
    "switch": switch,
    "open": reopen,
    "take_up": take_up,
}
