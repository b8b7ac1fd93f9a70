"""The inbox's table."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class InboxMessage(models.Model):
    """One message whose effect has committed. Its key makes a second effect impossible."""

    privileges: ClassVar[frozenset[str]] = frozenset({"DELETE"})

    id = models.UUIDField(primary_key=True, editable=False)
    name = models.TextField()
    handled_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "inbox_message"
        indexes = [models.Index(fields=["handled_at"], name="inbox_message_handled_at")]
