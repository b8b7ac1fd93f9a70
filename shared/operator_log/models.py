"""The log of what operators did."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from engine.models import Model
from engine.principals import Principal, PrincipalKind

ACTORS: tuple[PrincipalKind, ...] = ("operator", "system")


class Act(Model):
    """One act. The platform's role may insert and read it, and nobody may change it (migration 0001).

    There is no foreign key to whom and what it names: the log outlives them.
    """

    id_prefix: ClassVar[str] = "act"

    action = models.TextField()
    actor_kind = models.TextField(choices={kind: kind for kind in ACTORS})
    actor_id = models.UUIDField()
    actor_display = models.TextField(blank=True)
    organization_id = models.UUIDField(null=True)
    reason = models.TextField(blank=True)
    detail = models.JSONField(default=dict)
    request_id = models.TextField(blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["organization_id", "id"], name="operator_log_organization"),
            models.Index(fields=["actor_id", "id"], name="operator_log_actor"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(action__regex=r"^[a-z_]+(\.[a-z_]+)+$"), name="operator_log_action"),
            models.CheckConstraint(condition=Q(actor_kind__in=ACTORS), name="operator_log_actor_kind"),
        ]

    @property
    def actor(self) -> Principal:
        """Who did it."""
        return Principal(kind=self.actor_kind, id=self.actor_id, display=self.actor_display)  # type: ignore[arg-type]
