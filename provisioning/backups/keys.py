"""What wraps the keys of backups, and the journal that says whose backups are void."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings

from engine import ids
from engine.blobs.erasures import ErasureJournal
from engine.blobs.store import open_store
from engine.errors import Conflict
from engine.keys.kms import Kms, open_kms


class OffboardedError(Conflict):
    code = "organization_offboarded"
    title = "This organization was offboarded: its keys are destroyed for good, and its backups void"


def kms() -> Kms:
    """The KMS of this process, by whose key every backup's own key is wrapped."""
    return open_kms(settings.KMS_URL)


def refuse_offboarded(organization_id: UUID) -> None:
    """Raise OffboardedError when the journal outside the database says so. ADR 0072."""
    erasure = ErasureJournal(open_store(settings.BLOB_URL)).organization(organization_id)
    if erasure is not None:
        raise OffboardedError(f"{ids.encode('org', organization_id)}, at {erasure.erased_at:%Y-%m-%d %H:%M} UTC.")
