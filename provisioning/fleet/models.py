"""Runs over the fleet, and the ledger of what each migration did to each organization.

Only ks_owner writes here: the ledger's rows are part of the transactions that they tell of.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from engine.models import Model


class RunStatus(models.TextChoices):
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    """By itself: too many organizations failed."""
    FAILED = "failed"
    """It went through the fleet, and some organizations are left behind."""
    SUCCEEDED = "succeeded"


class FleetRun(Model):
    """One pass over the organizations. Killed, it stays `running` and the next `keystead migrate` goes on with it."""

    id_prefix = "run"

    status = models.CharField(max_length=16, choices=RunStatus, default=RunStatus.RUNNING)
    # The release's fingerprint, and which of its migrations this run is about.
    target = models.CharField(max_length=64)
    phase = models.CharField(max_length=8)
    canaries = models.JSONField(default=list)
    jobs = models.PositiveSmallIntegerField()
    lock_timeout_ms = models.PositiveIntegerField()
    failures_max = models.CharField(max_length=12)
    pause_requested = models.BooleanField(default=False)
    wave = models.CharField(max_length=16, default="", blank=True)
    organizations = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=RunStatus.values), name="fleetrun_status_known"),
            models.CheckConstraint(condition=Q(phase__in=["pre", "post", "all"]), name="fleetrun_phase_known"),
            models.UniqueConstraint(
                fields=["phase"], condition=Q(status__in=["running", "paused"]), name="fleetrun_one_open_of_a_phase"
            ),
        ]


class StepState(models.TextChoices):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class FleetStep(Model):
    """One migration of one organization. `done` is written in the transaction that applies it."""

    id_prefix = "step"

    organization = models.ForeignKey("organizations.Organization", on_delete=models.PROTECT, related_name="+")
    app = models.CharField(max_length=60)
    migration = models.CharField(max_length=200)
    path = models.CharField(max_length=8)
    state = models.CharField(max_length=8, choices=StepState)
    attempts = models.PositiveIntegerField(default=1)
    # PostgreSQL's code or the exception's name, and the names of table, column and constraint: never a value.
    error = models.CharField(max_length=300, default="", blank=True)
    duration_ms = models.FloatField(default=0)
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=StepState.values), name="fleetstep_state_known"),
            models.CheckConstraint(condition=Q(path__in=["sql", "django"]), name="fleetstep_path_known"),
            models.UniqueConstraint(fields=["organization", "app", "migration"], name="fleetstep_once"),
        ]
        indexes = [
            models.Index(fields=["state"], condition=~Q(state="done"), name="fleetstep_not_done"),
        ]
