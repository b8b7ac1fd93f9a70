"""Reading the audit log."""

from __future__ import annotations

from django.db.models import QuerySet

from tenants.audit.models import Entry


def entries(*, resource: str = "") -> QuerySet[Entry]:
    """The entries, with their seals where they have one; of one resource (a public id) when given."""
    found = Entry.objects.select_related("seal")
    if resource:
        found = found.filter(resource=resource)
    return found
