"""The audit log of an organization."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from engine.chain.models import AbstractHead, AbstractPending, AbstractSeal, SealedRow
from engine.chain.rules import moment
from engine.chain.walk import Point
from engine.ids import PRINCIPAL_PREFIXES
from tenants.audit import exports

RETENTION_DAYS_MIN = 90


class Entry(SealedRow):
    """One act: who did what to which object, from where, and which decision allowed it.

    `through` is the public id of what let the actor act, where that was not its own account: an app that a
    member has lent a token to, an impersonation.
    """

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
    address = models.TextField(blank=True, default="", db_default="")
    through = models.TextField(blank=True, default="", db_default="")

    class Meta:
        indexes = [
            models.Index(fields=["resource", "id"], name="audit_entry_resource"),
            models.Index(fields=["action", "id"], name="audit_entry_action"),
            models.Index(fields=["actor_id", "id"], name="audit_entry_actor"),
            models.Index(fields=["created_at"], name="audit_entry_created_at"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(action__regex=r"^[a-z_]+(\.[a-z_]+)+$"), name="audit_entry_action"
            ),
            models.CheckConstraint(
                condition=models.Q(actor_kind__in=list(PRINCIPAL_PREFIXES)), name="audit_entry_actor_kind"
            ),
        ]

    def sealed_values(self) -> dict[str, Any]:
        # Seals of entries from before these columns vouch for rows without them, and empty says the same.
        later = {"address": self.address, "through": self.through}
        return {
            **{name: value for name, value in later.items() if value},
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
        return exports.resumes_after(self.sealed_values())

    def released(self) -> Point | None:
        return exports.released(self.sealed_values())


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


class Setting(models.Model):
    """How long the organization keeps entries; one row, or none."""

    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    id = models.SmallIntegerField(primary_key=True, default=1)
    retention_days = models.IntegerField(null=True)
    """Null: for ever."""
    generation = models.IntegerField(default=0)
    """Counts the changes: the daily message of an earlier choice ends by itself."""

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="audit_setting_single"),
            models.CheckConstraint(
                condition=models.Q(retention_days=None) | models.Q(retention_days__gte=RETENTION_DAYS_MIN),
                name="audit_setting_retention_days",
            ),
        ]
