"""The end of an organization: asked for by one operator, approved by another, final after a grace period.

From the approval on it is suspended, and until the grace period is over it can be cancelled. What comes
then is done by the flow (`provisioning.steps.offboard`).
"""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.db import transaction

from engine.clock import Clock, utc_now
from engine.errors import Conflict, DomainError, NotFound
from engine.principals import Principal
from engine.tenancy import directory
from provisioning import flows, organizations
from provisioning.models import FlowKind, Offboarding
from provisioning.suspension import begin_resumption, begin_suspension, refuse_while_restored
from shared.operator_log import services as operator_log
from shared.organizations.models import OrganizationStatus


class OffboardingRequestedError(Conflict):
    code = "offboarding_requested"
    title = "The offboarding of this organization was asked for already"


class NoOffboardingError(NotFound):
    code = "no_offboarding"
    title = "Nobody has asked for the offboarding of this organization"


class OffboardingApprovedError(Conflict):
    code = "offboarding_approved"
    title = "The offboarding of this organization was approved already"


class SecondOperatorRequiredError(DomainError):
    code = "second_operator_required"
    status = 403
    title = "Another operator has to approve it"


class OperatorRequiredError(DomainError):
    code = "operator_required"
    status = 403
    title = "An offboarding needs operators with names"


def request(*, organization_id: UUID, reason: str, by: Principal) -> Offboarding:
    """Ask for an organization's end. Nothing happens until another operator approves it.

    Call inside `public_schema()`. Raises OperatorRequiredError, OffboardingRequestedError, RestoreOpenError and
    what `organizations.locked` does.
    """
    _require_operator(by)
    why = organizations.checked_reason(reason)
    with transaction.atomic():
        row = organizations.locked(organization_id)
        refuse_while_restored(row)
        if Offboarding.objects.open_of(row.id).exists():
            raise OffboardingRequestedError("Approve it, or cancel it.")
        flow = flows.start(kind=FlowKind.OFFBOARD, organization=row, parameters={})
        made = Offboarding.objects.create(
            organization=row,
            flow=flow,
            reason=why,
            requested_by=by.public_id,
            requested_by_display=by.display,
        )
        operator_log.record(action="offboarding.requested", by=by, organization_id=row.id, reason=why)
    return made


def approve(*, organization_id: UUID, by: Principal, clock: Clock = utc_now) -> Offboarding:
    """Agree to it as the second operator. The organization is suspended, and its grace period begins.

    Call inside `public_schema()`. Raises NoOffboardingError, SecondOperatorRequiredError,
    OffboardingApprovedError, RestoreOpenError and what `organizations.locked` does.
    """
    _require_operator(by)
    with transaction.atomic():
        row = organizations.locked(organization_id)
        refuse_while_restored(row)
        found = _open(row.id)
        if found.approved_at is not None:
            raise OffboardingApprovedError("It is in its grace period.")
        if found.requested_by == by.public_id:
            raise SecondOperatorRequiredError("Whoever asked for it cannot approve it.")
        found.status_before = row.status
        found.approved_by, found.approved_by_display, found.approved_at = by.public_id, by.display, clock()
        found.grace_ends_at = found.approved_at + settings.OFFBOARDING_GRACE
        found.save()
        operator_log.record(
            action="offboarding.approved",
            by=by,
            organization_id=row.id,
            reason=found.reason,
            detail={"grace_ends_at": found.grace_ends_at.isoformat()},
        )
        if row.status == OrganizationStatus.ACTIVE:
            begin_suspension(row, reason="It is being offboarded.", by=by)
        flows.wake(flow=found.flow)
    directory.forget()
    return found


def cancel(*, organization_id: UUID, reason: str, by: Principal, clock: Clock = utc_now) -> Offboarding:
    """Keep the organization after all. It becomes again what it was before the approval.

    Call inside `public_schema()`. Raises NoOffboardingError, RestoreOpenError and what
    `organizations.locked` does.
    """
    _require_operator(by)
    why = organizations.checked_reason(reason)
    with transaction.atomic():
        row = organizations.locked(organization_id)
        refuse_while_restored(row)
        found = _open(row.id)
        found.cancelled_by, found.cancelled_at = by.public_id, clock()
        found.save(update_fields=["cancelled_by", "cancelled_at"])
        flows.cancel(flow=found.flow)
        operator_log.record(action="offboarding.cancelled", by=by, organization_id=row.id, reason=why)
        if found.status_before == OrganizationStatus.ACTIVE and row.status == OrganizationStatus.SUSPENDED:
            begin_resumption(row, reason=why, by=by)
    directory.forget()
    return found


def latest(*, organization_id: UUID) -> Offboarding:
    """The offboarding that is under way or done, or the last that was cancelled. Raises NoOffboardingError."""
    found = Offboarding.objects.filter(organization_id=organization_id).order_by("-id").first()
    if found is None:
        raise NoOffboardingError
    return found


def _open(organization_id: UUID) -> Offboarding:
    found = Offboarding.objects.open_of(organization_id).select_for_update(of=("self",)).select_related("flow").first()
    if found is None:
        raise NoOffboardingError("Ask for it first.")
    return found


def _require_operator(by: Principal) -> None:
    if by.kind != "operator":
        raise OperatorRequiredError("On the command line, say who you are with --operator EMAIL.")
