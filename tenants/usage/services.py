"""Recording usage."""

from __future__ import annotations

from engine.clock import Clock, utc_now
from tenants.usage.models import Record


class AlreadyRecorded(ValueError):
    """The source was recorded with another quantity."""


def record(*, metric: str, quantity: int, source_id: str, clock: Clock = utc_now) -> Record:
    """Note, in the act's transaction, that ``source_id`` (a public id) used ``quantity`` of ``metric``.

    Counted once per metric and source: a repeat answers the first record. Raises AlreadyRecorded when
    the repeat names another quantity.
    """
    found, _ = Record.objects.get_or_create(
        metric=metric, source_id=source_id, defaults={"quantity": quantity, "created_at": clock()}
    )
    if found.quantity != quantity:
        raise AlreadyRecorded(f"{metric} of {source_id} is {found.quantity}, not {quantity}")
    return found
