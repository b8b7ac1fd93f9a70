"""Reading the event log: sealed events only, by number."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from engine.errors import NotFound
from tenants.events.models import Event, Seal


def sealed(*, after: int = 0) -> QuerySet[Seal]:
    """The seals with a number above ``after``, each with its event as ``row``, in order of number."""
    return Seal.objects.filter(sequence__gt=after).select_related("row").order_by("sequence")


def get(*, event_id: UUID) -> Seal:
    """The seal of one event, which has no number and is not shown before it is sealed. Raises NotFound."""
    found = Seal.objects.select_related("row").filter(row_id=event_id).first()
    if found is None:
        raise NotFound("There is no such event.")
    return found


def bodies(event_ids: list[UUID]) -> dict[UUID, str]:
    """The rendered bodies of events, by id."""
    return dict(Event.objects.filter(id__in=event_ids).values_list("id", "body"))
