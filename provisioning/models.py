"""The durable cursor of every long piece of work on an organization, and the schemas that wait for one."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from engine.models import Model


class FlowKind(models.TextChoices):
    CREATE = "create"
    SUSPEND = "suspend"
    RESUME = "resume"
    RENAME = "rename"
    OFFBOARD = "offboard"
    BACKUP = "backup"
    RESTORE = "restore"


class FlowStatus(models.TextChoices):
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Flow(Model):
    """One run of a flow. `step` is the next one to run."""

    id_prefix = "flow"

    kind = models.CharField(max_length=24, choices=FlowKind)
    organization = models.ForeignKey("organizations.Organization", on_delete=models.PROTECT, related_name="flows")
    status = models.CharField(max_length=16, choices=FlowStatus, default=FlowStatus.RUNNING)
    step = models.CharField(max_length=40)
    # Ids and choices only: what a step needs to know and the organization's row does not say.
    parameters = models.JSONField(default=dict)
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=500, default="", blank=True)
    # When a waiting flow goes on by itself; None while it waits for a person.
    due_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=FlowStatus.values), name="flow_status_known"),
            models.CheckConstraint(condition=Q(kind__in=FlowKind.values), name="flow_kind_known"),
            models.UniqueConstraint(
                fields=["organization", "kind"],
                condition=Q(status__in=["running", "waiting"]),
                name="flow_one_running_of_a_kind",
            ),
        ]


class ReadySchema(Model):
    """A schema with its role, complete and nobody's yet. Claiming it deletes the row.

    The row is written by ks_owner in the transaction that makes the schema, so neither is ever
    there without the other.
    """

    id_prefix = "ready"

    schema_name = models.CharField(max_length=63, unique=True)
    role_name = models.CharField(max_length=63, unique=True)
    # Which migrations it has: it is handed out by a release that has the same, and by no other.
    fingerprint = models.CharField(max_length=64)

    class Meta:
        ordering = ["id"]
