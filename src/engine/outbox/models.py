"""The outbox's table, in the public schema. Grants and row-level security stand in the migrations."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Length, Now
from django.db.models.functions.comparison import Cast

MAX_PAYLOAD_CHARACTERS = 2048


class OutboxMessage(models.Model):
    """One message. The ORM never writes it: an organization's role may only INSERT, by raw SQL."""

    id = models.UUIDField(primary_key=True, editable=False)
    org_role = models.TextField()
    name = models.TextField()
    queue = models.TextField()
    payload = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())
    available_at = models.DateTimeField(db_default=Now())
    dispatched_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    attempts = models.IntegerField(db_default=0)
    last_error = models.TextField(db_default="")
    parked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "outbox_message"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(name__regex=r"^[a-z_]+(\.[a-z_]+)+$"),
                name="outbox_message_name",
            ),
            models.CheckConstraint(
                # `payload_text__lte` is not possible on an expression in Django's Q without an alias.
                condition=models.lookups.LessThanOrEqual(
                    Length(Cast("payload", models.TextField())), MAX_PAYLOAD_CHARACTERS
                ),
                name="outbox_message_payload_size",
            ),
        ]
        indexes = [
            # The sweep walks from lane to lane (organization and queue) and takes the oldest of each.
            models.Index(
                fields=["org_role", "queue", "available_at"],
                condition=models.Q(parked_at__isnull=True),
                name="outbox_message_lanes",
            ),
            models.Index(
                fields=["org_role", "queue"],
                condition=models.Q(dispatched_at__isnull=False),
                name="outbox_message_in_flight",
            ),
        ]
