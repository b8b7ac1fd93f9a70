"""Reading the audit log."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from tenants.audit.models import Entry


def entries(
    *,
    resource: str = "",
    action: str = "",
    actor: tuple[str, UUID] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Entry]:
    """The entries, with their seals where they have one.

    Of one resource (a public id), one kind of act, one actor (kind and id), from `since` on and before `until`.
    """
    found = Entry.objects.select_related("seal")
    if resource:
        found = found.filter(resource=resource)
    if action:
        found = found.filter(action=action)
    if actor is not None:
        found = found.filter(actor_kind=actor[0], actor_id=actor[1])
    if since is not None:
        found = found.filter(created_at__gte=since)
    if until is not None:
        found = found.filter(created_at__lt=until)
    return found
