"""The event log of an organization."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.db import models

from engine.chain.models import AbstractHead, AbstractPending, AbstractSeal, SealedRow
from engine.chain.rules import moment
from tenants.events.events import OrganizationRestored


class Event(SealedRow):
    """A fact, rendered when it happened. Its number stands on its seal."""

    id_prefix = "evt"
    privileges: ClassVar[frozenset[str]] = frozenset()

    type = models.TextField()
    api_version = models.TextField()
    schema_version = models.PositiveSmallIntegerField()
    # Text and not jsonb, which would put the members in an order of its own: receivers check a signature.
    body = models.TextField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(type__regex=r"^[a-z_]+(\.[a-z_]+)+$"), name="events_event_type"),
        ]

    def sealed_values(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "type": self.type,
            "api_version": self.api_version,
            "schema_version": self.schema_version,
            "body": self.body,
            "created_at": moment(self.created_at),
        }

    def resumes_after(self) -> int | None:
        if self.type != OrganizationRestored.type:
            return None
        return int(json.loads(self.body)["data"]["ended_at"])


class Seal(AbstractSeal):
    """An event's number."""

    row = models.OneToOneField(Event, on_delete=models.PROTECT, related_name="seal")

    class Meta(AbstractSeal.Meta):
        pass


class Pending(AbstractPending):
    """An event that has no number yet."""

    row = models.OneToOneField(Event, on_delete=models.PROTECT, related_name="mark")


class Head(AbstractHead):
    """The end of the event log."""

    class Meta(AbstractHead.Meta):
        pass
