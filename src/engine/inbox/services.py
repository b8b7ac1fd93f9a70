"""Accepting a message once."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connection

from engine.inbox.models import InboxMessage


def accept(*, message_id: UUID, name: str) -> bool:
    """Note, in the caller's transaction, that a message is being handled.

    False when another execution has committed its effect already. While another is still at it, this
    waits for the outcome: PostgreSQL lets only one of the two rows in.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO inbox_message (id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [message_id, name],
        )
        return cursor.rowcount == 1


def purge(*, before: datetime, limit: int = 10_000) -> int:
    """Delete the oldest rows handled before ``before`` (aware); returns how many.

    A row is needed only while its message is still in the outbox, which is seconds; ``before`` should
    leave weeks, for messages that were parked after their effect had committed.
    """
    oldest = InboxMessage.objects.filter(handled_at__lt=before).order_by("handled_at")[:limit]
    count, _ = InboxMessage.objects.filter(pk__in=oldest.values("pk")).delete()
    return count
