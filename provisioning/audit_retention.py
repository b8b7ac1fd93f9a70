"""Old audit entries leave: exported, read back, told of in the log, and only then dropped by the schemas' owner.

Each step looks at what is there, so whoever is stopped in between is followed by whoever runs it next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from django.conf import settings

from engine import ids
from engine.blobs.store import BlobExists, BlobNotFound, BlobStore, open_store
from engine.clock import Clock, utc_now
from engine.errors import DomainError
from engine.tenancy.context import OrganizationContext, current_organization, organization, owner_schema
from provisioning import schemas
from tenants.audit import exports, retention
from tenants.audit.retention import Part


class ExportDoesNotVerifyError(DomainError):
    """What was read back is not what is to leave. Nothing was dropped."""

    code = "audit_export_does_not_verify"
    status = 500
    title = "The export of old audit entries does not verify"


def release(*, context: OrganizationContext, clock: Clock = utc_now) -> int:
    """Let every entry leave whose time is over; returns how many left. Needs the owner's login.

    Calls the blob store, so not inside a transaction. Raises ExportDoesNotVerifyError.
    """
    schemas.require_owner_login()
    store, count = open_store(settings.BLOB_URL), 0
    with _alone(context) as alone:
        while alone:
            with organization(context):
                part = retention.told()
                if part is not None:
                    # The organization's own role may write such an entry: the export is what counts.
                    _verified(store, part)
                else:
                    part = retention.due(clock=clock)
                    if part is None:
                        break
                    _export(store, part, clock)
            with owner_schema(context.schema_name):
                count += retention.drop(through=part.through)
    return count


def _export(store: BlobStore, part: Part, clock: Clock) -> None:
    try:
        store.write_stream(part.name, retention.export(part, clock=clock))
    except BlobExists:
        # Somebody wrote it and was stopped. It counts if it says the same.
        pass
    entries = _verified(store, part)
    with store.open(part.name) as file:
        digest = _sha256(file)
    retention.tell(part=part, location=f"blob:{part.name}", sha256=digest, entries=entries, clock=clock)


def _verified(store: BlobStore, part: Part) -> int:
    """How many entries the part's export holds, read back from the store. Raises ExportDoesNotVerifyError."""
    try:
        with store.open(part.name) as file:
            found = exports.verify([file])
    except (BlobNotFound, exports.NotAnExport) as error:
        raise ExportDoesNotVerifyError(f"{part.name}: {error}.") from error
    organization_id = ids.encode("org", current_organization().id)
    if found.broken_at is not None or (found.organization, found.after, found.head) != (
        organization_id,
        part.after,
        part.through,
    ):
        raise ExportDoesNotVerifyError(f"{part.name}: {found.reason or 'it is of other entries'}.")
    return found.entries


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _alone(context: OrganizationContext) -> Iterator[bool]:
    with schemas.owner_connection() as lock:
        key = f"audit-retention:{context.id}"
        row = lock.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [key]).fetchone()
        yield bool(row and row[0])
