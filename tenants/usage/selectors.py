"""Reading usage."""

from __future__ import annotations

from django.db.models import QuerySet

from tenants.usage.models import Record


def records(*, metric: str = "") -> QuerySet[Record]:
    """The usage records, of one metric when given."""
    return Record.objects.filter(metric=metric) if metric else Record.objects.all()
