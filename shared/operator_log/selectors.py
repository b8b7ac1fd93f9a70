"""Reading the operators' log."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from shared.operator_log.models import Act


def acts(*, organization_id: UUID | None = None, operator_id: UUID | None = None, action: str = "") -> QuerySet[Act]:
    """What was done; to one organization, by one operator, of one kind, when given."""
    found = Act.objects.all()
    if organization_id is not None:
        found = found.filter(organization_id=organization_id)
    if operator_id is not None:
        found = found.filter(actor_id=operator_id)
    if action:
        found = found.filter(action=action)
    return found
