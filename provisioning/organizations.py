"""Finding the organization that an operator means, under lock."""

from __future__ import annotations

from uuid import UUID

from engine.errors import DomainError, NotFound
from shared.organizations.models import GONE, Organization, OrganizationStatus


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
