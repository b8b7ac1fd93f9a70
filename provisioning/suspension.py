"""Suspending an organization and taking it up again.

The status is what every door looks at, so it changes in the request's own transaction; the flow does
what remains. Inbound reports of providers are still stored, and worked through after the resumption.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from engine.errors import Conflict
from engine.principals import Principal
from engine.tenancy import directory
from provisioning import flows, organizations
from provisioning.models import Flow, FlowKind, Offboarding
from shared.operator_log import services as operator_log
from shared.organizations.models import Organization, OrganizationStatus


class NotActiveError(Conflict):
    code = "organization_not_active"
    title = "This organization is not active"


class NotSuspendedError(Conflict):
    code = "organization_not_suspended"
    title = "This organization is not suspended"


class RestoreOpenError(Conflict):
    code = "restore_open"
    title = "This organization is being restored from a backup"


class OffboardingOpenError(Conflict):
    code = "offboarding_open"
    title = "This organization is in its grace period before offboarding"


def suspend(*, organization_id: UUID, reason: str, by: Principal) -> Flow:
    """Refuse everything for an organization, everywhere within 5 s.

    Call inside `public_schema()`. Raises NotFound, NotActiveError and what `organizations.locked` does.
    """
    why = organizations.checked_reason(reason)
    with transaction.atomic():
        row = organizations.locked(organization_id)
        if row.status != OrganizationStatus.ACTIVE:
            raise NotActiveError("It is suspended already.")
        flow = begin_suspension(row, reason=why, by=by)
    directory.forget()
    return flow


def resume(*, organization_id: UUID, reason: str, by: Principal) -> Flow:
    """Serve a suspended organization again. What was held for it is taken up within a minute.

    Call inside `public_schema()`. Raises NotFound, NotSuspendedError, RestoreOpenError, OffboardingOpenError.
    """
    why = organizations.checked_reason(reason)
    with transaction.atomic():
        row = organizations.locked(organization_id)
        if row.status != OrganizationStatus.SUSPENDED:
            raise NotSuspendedError("There is nothing to resume.")
        refuse_while_restored(row)
        if Offboarding.objects.filter(organization=row, cancelled_at=None, approved_at__isnull=False).exists():
            raise OffboardingOpenError("Cancel the offboarding first.")
        flow = begin_resumption(row, reason=why, by=by)
    directory.forget()
    return flow


def refuse_while_restored(row: Organization) -> None:
    """Raises RestoreOpenError: a restore closes and opens the organization itself, and changes its schema."""
    if Flow.objects.filter(organization=row, kind=FlowKind.RESTORE, status__in=flows.OPEN).exists():
        raise RestoreOpenError("It opens by itself when the restore is done.")


def begin_suspension(row: Organization, *, reason: str, by: Principal) -> Flow:
    """The acts of a suspension, in the caller's transaction and on its locked row."""
    _become(row, OrganizationStatus.SUSPENDED)
    operator_log.record(action="organization.suspended", by=by, organization_id=row.id, reason=reason)
    return _begin(row, FlowKind.SUSPEND, instead_of=FlowKind.RESUME)


def begin_resumption(row: Organization, *, reason: str, by: Principal) -> Flow:
    """The acts of a resumption, in the caller's transaction and on its locked row."""
    _become(row, OrganizationStatus.ACTIVE)
    operator_log.record(action="organization.resumed", by=by, organization_id=row.id, reason=reason)
    return _begin(row, FlowKind.RESUME, instead_of=FlowKind.SUSPEND)


def _become(row: Organization, status: OrganizationStatus) -> None:
    row.status = status
    row.save(update_fields=["status", "updated_at"])


def _begin(row: Organization, kind: FlowKind, *, instead_of: FlowKind) -> Flow:
    # The other one may still wait for a matcher that is away; it is overtaken.
    for overtaken in Flow.objects.filter(organization=row, kind__in=[kind, instead_of], status__in=flows.OPEN):
        flows.cancel(flow=overtaken)
    return flows.start(kind=kind, organization=row, parameters={})
