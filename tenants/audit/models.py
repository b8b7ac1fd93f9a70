"""The audit log of an organization."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from engine.chain.models import AbstractHead, AbstractPending, AbstractSeal, SealedRow
from engine.chain.rules import moment
from engine.ids import PRINCIPAL_PREFIXES

RESTORED = "organization.restore"


class Entry(SealedRow):
    """One act: who did what to which object, and which decision allowed it."""

    id_prefix = "aud"
    privileges: ClassVar[frozenset[str]] = frozenset()

    action = models.TextField()
    actor_kind = models.TextField(choices={kind: kind for kind in PRINCIPAL_PREFIXES})
    actor_id = models.UUIDField()
    actor_display = models.TextField(blank=True)
    resource = models.TextField()
    detail = models.JSONField()
    decision_id = models.UUIDField(null=True)
    request_id = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(fields=["resource", "id"], name="audit_entry_resource")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(action__regex=r"^[a-z_]+(\.[a-z_]+)+$"), name="audit_entry_action"
            ),
            models.CheckConstraint(
                condition=models.Q(actor_kind__in=list(PRINCIPAL_PREFIXES)), name="audit_entry_actor_kind"
            ),
        ]

    def sealed_values(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "created_at": moment(self.created_at),
            "action": self.action,
            "actor_kind": self.actor_kind,
            "actor_id": str(self.actor_id),
            "actor_display": self.actor_display,
            "resource": self.resource,
            "detail": self.detail,
            "decision_id": str(self.decision_id) if self.decision_id else None,
            "request_id": self.request_id,
        }

    def resumes_after(self) -> int | None:
        return int(self.detail["ended_at"]) if self.action == RESTORED else None


class Seal(AbstractSeal):
    """An entry's number."""

    row = models.OneToOneField(Entry, on_delete=models.PROTECT, related_name="seal")

    class Meta(AbstractSeal.Meta):
        pass


class Pending(AbstractPending):
    """An entry that has no number yet."""

    row = models.OneToOneField(Entry, on_delete=models.PROTECT, related_name="mark")


class Head(AbstractHead):
    """The end of the audit log."""

    class Meta(AbstractHead.Meta):
        pass
