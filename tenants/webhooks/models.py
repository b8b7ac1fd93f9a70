"""Webhook endpoints, their secrets, and what was delivered to them."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from engine.models import Model

RESPONSE_CHARACTERS_MAX = 1024


class EndpointStatus(models.TextChoices):
    ENABLED = "enabled"
    DISABLED = "disabled"
    DELETED = "deleted"


class DisabledReason(models.TextChoices):
    REQUESTED = "requested"
    FAILING = "failing"
    GONE = "gone"


class DeliveryState(models.TextChoices):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    def existing(self) -> EndpointQuerySet:
        """Those that were not deleted; their rows stay because deliveries name them."""
        return self.exclude(status=EndpointStatus.DELETED)

    def enabled(self) -> EndpointQuerySet:
        """Those that get events."""
        return self.filter(status=EndpointStatus.ENABLED)


class Endpoint(Model):
    """A URL of the organization's that gets events."""

    id_prefix = "we"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    url = models.TextField()
    description = models.TextField(blank=True)
    event_types = ArrayField(models.TextField())
    api_version = models.TextField()
    status = models.TextField(choices=EndpointStatus, default=EndpointStatus.ENABLED)
    disabled_reason = models.TextField(choices=DisabledReason, blank=True)
    failures = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    # The breaker: nothing is sent before this moment, then one delivery goes ahead as a probe.
    paused_until = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()

    objects = EndpointQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=EndpointStatus.values), name="webhooks_endpoint_status"
            ),
            models.CheckConstraint(
                condition=models.Q(disabled_reason__in=["", *DisabledReason.values]),
                name="webhooks_endpoint_disabled_reason",
            ),
        ]


class Secret(Model):
    """A signing secret, sealed. Several are valid while the receiver changes over."""

    id_prefix = "whs"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})

    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="secrets")
    sealed = models.BinaryField()
    expires_at = models.DateTimeField(null=True)


class Delivery(Model):
    """One event on its way to one endpoint; there is never a second."""

    id_prefix = "dlv"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="deliveries", db_index=False)
    event = models.ForeignKey("events.Event", on_delete=models.PROTECT, related_name="+")
    event_type = models.TextField()
    sequence = models.BigIntegerField()
    state = models.TextField(choices=DeliveryState, default=DeliveryState.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    # Attempts count from here for the retry schedule; a replay begins a new one.
    attempts_before = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "event"], name="webhooks_delivery_once"),
            models.CheckConstraint(condition=models.Q(state__in=DeliveryState.values), name="webhooks_delivery_state"),
        ]


class Attempt(Model):
    """What one HTTP request came to."""

    id_prefix = "dat"
    privileges: ClassVar[frozenset[str]] = frozenset()

    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="attempt_log", db_index=False)
    number = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField(null=True)
    error = models.TextField(blank=True)
    duration_ms = models.PositiveIntegerField()
    response = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["delivery", "number"], name="webhooks_attempt_number"),
        ]
