"""What every act on an organization begins with: its row under lock, and a reason."""

from __future__ import annotations

from uuid import UUID

from engine.errors import DomainError, InvalidInput, NotFound
from shared.organizations.models import GONE, Organization, OrganizationStatus

REASON_CHARACTERS_MAX = 500


class OrganizationGoneError(DomainError):
    code = "organization_offboarded"
    status = 409
    title = "This organization is being offboarded, or was"


class OrganizationNotReadyError(DomainError):
    code = "organization_not_ready"
    status = 409
    title = "This organization is still being made"


def locked(organization_id: UUID) -> Organization:
    """The row of an organization that lives, locked until the transaction ends.

    Call inside `public_schema()`. Raises NotFound, OrganizationGoneError and OrganizationNotReadyError.
    """
    row = Organization.objects.select_for_update().filter(id=organization_id).first()
    if row is None:
        raise NotFound("There is no such organization.")
    if row.status in GONE:
        raise OrganizationGoneError("Nothing of it can be changed any more.")
    if row.status == OrganizationStatus.PROVISIONING:
        raise OrganizationNotReadyError(f"Finish its creation first: `keystead org create {row.slug} ...`.")
    return row


def checked_reason(reason: str) -> str:
    """The reason, without spaces around it. Raises InvalidInput when there is none."""
    stripped = reason.strip()
    if not stripped or len(stripped) > REASON_CHARACTERS_MAX:
        raise InvalidInput(f"Give a reason of 1 to {REASON_CHARACTERS_MAX} characters.", field="reason")
    return stripped
