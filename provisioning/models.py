"""The durable cursor of every long piece of work on an organization, its end, and the schemas that wait for one."""

from __future__ import annotations

from uuid import UUID

from django.db import models
from django.db.models import F, Q

from engine.models import Model

# Django looks for an app's tables here.
from provisioning.fleet.models import FleetRun, FleetStep  # noqa: F401


class FlowKind(models.TextChoices):
    CREATE = "create"
    SUSPEND = "suspend"
    RESUME = "resume"
    OFFBOARD = "offboard"
    BACKUP = "backup"
    RESTORE = "restore"


class FlowStatus(models.TextChoices):
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"


class Flow(Model):
    """One run of a flow. `step` is the next one to run."""

    id_prefix = "flow"

    kind = models.CharField(max_length=24, choices=FlowKind)
    organization = models.ForeignKey("organizations.Organization", on_delete=models.PROTECT, related_name="flows")
    status = models.CharField(max_length=16, choices=FlowStatus, default=FlowStatus.RUNNING)
    step = models.CharField(max_length=40)
    # What a step needs to know and the organization's row does not say: ids and choices. The first
    # administrator's address is there until the invitation stands in the organization's own schema.
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


class OffboardingQuerySet(models.QuerySet["Offboarding"]):
    def open_of(self, organization_id: UUID) -> OffboardingQuerySet:
        """The one of an organization that was not cancelled, if there is one."""
        return self.filter(organization_id=organization_id, cancelled_at=None)


class Offboarding(Model):
    """An organization's end: asked for by one operator, approved by another, and what became of everything."""

    id_prefix = "off"

    organization = models.ForeignKey(
        "organizations.Organization", on_delete=models.PROTECT, related_name="offboardings"
    )
    flow = models.OneToOneField(Flow, on_delete=models.PROTECT, related_name="offboarding")
    reason = models.CharField(max_length=500)
    status_before = models.CharField(max_length=16, blank=True, default="")
    requested_by = models.CharField(max_length=64)
    requested_by_display = models.CharField(max_length=254)
    approved_by = models.CharField(max_length=64, blank=True, default="")
    approved_by_display = models.CharField(max_length=254, blank=True, default="")
    approved_at = models.DateTimeField(null=True, blank=True)
    grace_ends_at = models.DateTimeField(null=True, blank=True)
    cancelled_by = models.CharField(max_length=64, blank=True, default="")
    cancelled_at = models.DateTimeField(null=True, blank=True)
    final_at = models.DateTimeField(null=True, blank=True)
    """From here on it cannot be cancelled."""
    # What was there and what became of it, each written before the act that makes it unknowable.
    archive = models.JSONField(null=True, blank=True)
    keys = models.JSONField(null=True, blank=True)
    keys_destroyed_at = models.DateTimeField(null=True, blank=True)
    schema_dropped_at = models.DateTimeField(null=True, blank=True)
    role_dropped_at = models.DateTimeField(null=True, blank=True)
    certificate = models.TextField(blank=True, default="")

    objects = OffboardingQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization"], condition=Q(cancelled_at=None), name="offboarding_one_open"
            ),
            models.CheckConstraint(condition=~Q(approved_by=F("requested_by")), name="offboarding_two_operators"),
            models.CheckConstraint(
                condition=Q(approved_by="", approved_at=None, grace_ends_at=None)
                | (~Q(approved_by="") & Q(approved_at__isnull=False, grace_ends_at__isnull=False)),
                name="offboarding_approved_as_a_whole",
            ),
            models.CheckConstraint(
                condition=Q(final_at=None) | Q(approved_at__isnull=False, cancelled_at=None),
                name="offboarding_final_after_approval",
            ),
        ]


class BackupStatus(models.TextChoices):
    RUNNING = "running"
    COMPLETE = "complete"


class Backup(Model):
    """One backup of one organization. The archive itself stands outside the database."""

    id_prefix = "bkp"

    organization = models.ForeignKey("organizations.Organization", on_delete=models.PROTECT, related_name="backups")
    status = models.CharField(max_length=16, choices=BackupStatus, default=BackupStatus.RUNNING)
    # A file's absolute path, or `blob:` and the name of a blob.
    location = models.CharField(max_length=1024)
    # Of these, all are empty until it is complete.
    taken_at = models.DateTimeField(null=True, blank=True)
    size_bytes = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, default="", blank=True)
    table_count = models.PositiveIntegerField(default=0)
    row_count = models.BigIntegerField(default=0)
    schema_fingerprint = models.CharField(max_length=64, default="", blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=BackupStatus.values), name="backup_status_known"),
            models.CheckConstraint(
                condition=Q(status="running") | Q(taken_at__isnull=False, finished_at__isnull=False, size_bytes__gt=0),
                name="backup_complete_says_what_it_holds",
            ),
        ]
