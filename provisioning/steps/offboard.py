"""The steps of an organization's end. Each looks at what is there, so that it may run twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from engine import ids
from engine.blobs.erasures import ErasureJournal, OrganizationErasure
from engine.blobs.store import BlobExists, BlobStore, open_store
from engine.clock import utc_now
from engine.outbox import claims
from engine.principals import SYSTEM
from engine.tenancy import directory
from engine.tenancy.context import organization, public_schema
from provisioning import archive, certificates, destruction, rules
from provisioning.destruction import Holdings
from provisioning.models import Flow, FlowKind, FlowStatus, Offboarding
from provisioning.rules import Wait
from shared.operator_log import services as operator_log
from shared.organizations.models import Domain, Organization, OrganizationStatus

_OPEN = (FlowStatus.RUNNING, FlowStatus.WAITING)


def await_approval(flow: Flow) -> Wait | None:
    """Until another operator than the one who asked agrees."""
    return Wait(until=None) if _of(flow).approved_at is None else None


def await_grace(flow: Flow) -> Wait | None:
    """Until the grace period is over. Then nobody can cancel it, and no door opens any more."""
    with public_schema(), transaction.atomic():
        row = Organization.objects.select_for_update().get(id=flow.organization_id)
        found = Offboarding.objects.select_for_update().get(flow=flow)
        if found.cancelled_at is not None or found.final_at is not None or found.grace_ends_at is None:
            return None
        if found.grace_ends_at > utc_now():
            return Wait(until=found.grace_ends_at)
        found.final_at = utc_now()
        found.save(update_fields=["final_at"])
        row.status = OrganizationStatus.OFFBOARDING
        row.save(update_fields=["status", "updated_at"])
        # Whatever else was going on with it has nothing left to work on.
        open_flows = Flow.objects.filter(organization=row, status__in=_OPEN)
        open_flows.exclude(id=flow.id).update(status=FlowStatus.CANCELLED, due_at=None)
        operator_log.record(
            action="offboarding.final", by=SYSTEM, organization_id=row.id, reason=found.reason, detail=_who(found)
        )
    directory.forget()
    return None


def hear(flow: Flow) -> Wait | None:
    """Until nobody writes any more, because every process knows it. What waited to be done is not done."""
    for role in _held(flow).roles:
        claims.discard(org_role=role)
    final_at = _of(flow).final_at
    if final_at is None:
        raise RuntimeError("the grace period is over, and nobody wrote down when")
    heard = final_at + rules.HEARD_EVERYWHERE
    return Wait(until=heard) if heard > utc_now() else None


def write_archive(flow: Flow) -> None:
    """What the organization takes with it."""
    found = _of(flow)
    row = flow.organization
    written = archive.write(
        context=row.context(),
        about=_about(row),
        store=_store(),
        folder=f"archives/{row.id}/{found.id}",
    )
    _note(found, archive={**written, "schema_fingerprint": row.schema_fingerprint})


def write_journal(flow: Flow) -> None:
    """The erasure, outside the database, before anything is erased: no restore may bring the keys back."""
    found, row = _of(flow), flow.organization
    keys = found.keys
    if keys is None:
        # A former schema may still have versions that were retired since.
        known = {key["id"]: key for schema in _held(flow).schemas for key in destruction.keys(schema=schema)}
        keys = sorted(known.values(), key=lambda key: (key["purpose"], key["version"], key["id"]))
    _note(found, keys=keys)
    ErasureJournal(_store()).record_organization(
        OrganizationErasure(organization_id=row.id, erased_at=utc_now(), key_ids=tuple(UUID(key["id"]) for key in keys))
    )


def destroy_keys(flow: Flow) -> None:
    """Every wrapped key of every purpose, and what is held of them in memory."""
    from tenants.keyring import services as keyring

    for schema in _held(flow).schemas:
        destruction.destroy_keys(schema=schema)
    with organization(flow.organization.context()):
        keyring.forget_in_memory()
    found = _of(flow)
    _note(found, keys_destroyed_at=found.keys_destroyed_at or utc_now())


def drop_schema(flow: Flow) -> None:
    """All its rows, and those of its former schemas."""
    for schema in _held(flow).schemas:
        destruction.drop_schema(schema=schema)
    found = _of(flow)
    _note(found, schema_dropped_at=found.schema_dropped_at or utc_now())


def drop_role(flow: Flow) -> None:
    """Its roles, and the messages that were still to be handled in their names."""
    for role in _held(flow).roles:
        claims.discard(org_role=role)
        destruction.drop_role(role=role)
    found = _of(flow)
    _note(found, role_dropped_at=found.role_dropped_at or utc_now())


def certify(flow: Flow) -> None:
    """One certificate: the first that was written down, however often this runs."""
    found, name = _of(flow), f"certificates/{flow.organization_id}.jws"
    store = _store()
    with suppress(BlobExists):
        store.write(name, certificates.sign(_statement(found, flow)).encode())
    _note(found, certificate=store.read(name).decode())


def leave_tombstone(flow: Flow) -> None:
    """The row stays, so that its slug, its hosts and its issuer are never given to anybody else."""
    with public_schema(), transaction.atomic():
        ended = Organization.objects.filter(id=flow.organization_id, status=OrganizationStatus.OFFBOARDING).update(
            status=OrganizationStatus.OFFBOARDED
        )
        # Of organizations that were made by earlier releases.
        Flow.objects.filter(organization=flow.organization_id, kind=FlowKind.CREATE).update(parameters={})
        if ended:
            sha256 = hashlib.sha256(_certificate(flow).encode()).hexdigest()
            operator_log.record(
                action="organization.offboarded",
                by=SYSTEM,
                organization_id=flow.organization_id,
                detail={"certificate_sha256": sha256},
            )
    directory.forget()


def _certificate(flow: Flow) -> str:
    return Offboarding.objects.get(flow=flow).certificate


def _held(flow: Flow) -> Holdings:
    with public_schema():
        return destruction.holdings(flow.organization)


def _of(flow: Flow) -> Offboarding:
    with public_schema():
        return Offboarding.objects.get(flow=flow)


def _note(found: Offboarding, **facts: Any) -> None:
    with public_schema():
        Offboarding.objects.filter(id=found.id).update(**facts)


def _store() -> BlobStore:
    return open_store(settings.BLOB_URL)


def _about(row: Organization) -> dict[str, Any]:
    with public_schema():
        return {
            "id": row.public_id,
            "slug": row.slug,
            "name": row.name,
            "created_at": row.created_at.isoformat(),
            "hosts": sorted(Domain.objects.filter(organization=row).values_list("host", flat=True)),
            **{field: getattr(row, field) for field in row.FIXED},
        }


def _who(found: Offboarding) -> dict[str, Any]:
    return {
        "requested_by": {"id": found.requested_by, "display": found.requested_by_display},
        "requested_at": found.created_at.isoformat(),
        "approved_by": {"id": found.approved_by, "display": found.approved_by_display},
        "approved_at": _moment(found.approved_at),
    }


def _statement(found: Offboarding, flow: Flow) -> dict[str, Any]:
    archived, row, held = found.archive or {}, flow.organization, _held(flow)
    return {
        "format": 1,
        "issued_at": utc_now().isoformat(),
        "organization": _about(row),
        "reason": found.reason,
        **_who(found),
        "final_at": _moment(found.final_at),
        "archive": {"manifest": archived.get("manifest"), "sha256": archived.get("sha256")},
        "destroyed": {
            "keys": found.keys,
            "keys_destroyed_at": _moment(found.keys_destroyed_at),
            "rows": archived.get("rows"),
            "schema_fingerprint": archived.get("schema_fingerprint"),
            "schemas": held.schemas,
            "schema_dropped_at": _moment(found.schema_dropped_at),
            "roles": held.roles,
            "role_dropped_at": _moment(found.role_dropped_at),
        },
        "kept": _kept(row),
        "flow": ids.encode("flow", found.flow_id),
    }


def _kept(row: Organization) -> dict[str, Any]:
    with public_schema():
        backups = [backup.public_id for backup in row.backups.all()]
    return {
        "so that nobody else is given them": "this row, its slug and its hosts",
        "to show what was done": "its flows, domain claims and impersonations, the operators' log, the erasure journal",
        "to be deleted by the operators": "the archive, and the files of its backups",
        "backups": backups,
    }


def _moment(at: Any) -> str | None:
    return at.isoformat() if at else None


STEPS: Mapping[str, Callable[[Flow], Wait | None]] = {
    "approval": await_approval,
    "grace": await_grace,
    "heard": hear,
    "archive": write_archive,
    "journal": write_journal,
    "keys": destroy_keys,
    "schema": drop_schema,
    "role": drop_role,
    "certificate": certify,
    "tombstone": leave_tombstone,
}
