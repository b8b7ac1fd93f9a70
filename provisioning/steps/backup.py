"""The steps that back an organization up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID

from engine.clock import utc_now
from engine.tenancy.context import public_schema
from provisioning.backups import archive, capture, keys, places
from provisioning.backups.archive import Reader, Tally
from provisioning.models import Backup, BackupStatus, Flow


def write(flow: Flow) -> None:
    """The archive, from one snapshot. A file that an interrupted run completed is kept."""
    backup = _backup(flow)
    kms = keys.kms()
    if places.exists(backup.location):
        with places.read(backup.location) as file, Reader(file, kms=kms) as reader:
            if reader.header.backup == backup.id:
                return
        raise places.PlaceUnusableError(f"{backup.location} holds another backup.")
    places.write(backup.location, capture.archive(organization=flow.organization, backup_id=backup.id, kms=kms))


def verify(flow: Flow) -> None:
    """Read it back as a restore would, and record what it holds."""
    backup = _backup(flow)
    with places.read(backup.location) as file:
        manifest = archive.verify(file, kms=keys.kms())
    tally = Tally()
    with places.read(backup.location) as file:
        for _ in tally.over(iter(lambda: file.read(archive.PART_BYTES), b"")):
            pass
    with public_schema():
        Backup.objects.filter(id=backup.id).update(
            status=BackupStatus.COMPLETE,
            taken_at=datetime.fromisoformat(manifest.taken_at),
            finished_at=utc_now(),
            size_bytes=tally.size,
            sha256=tally.sha256,
            table_count=len(manifest.tables),
            row_count=sum(table.rows for table in manifest.tables),
            schema_fingerprint=manifest.fingerprint,
        )


def _backup(flow: Flow) -> Backup:
    with public_schema():
        return Backup.objects.get(id=UUID(flow.parameters["backup_id"]))


STEPS: Mapping[str, Callable[[Flow], None]] = {
    "write": write,
    "verify": verify,
}
