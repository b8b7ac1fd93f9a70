"""What an organization has used."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from engine.models import Model


class Record(Model):
    """A quantity of a metric, caused by one object. Never changed: invoices rest on it."""

    id_prefix = "use"
    privileges: ClassVar[frozenset[str]] = frozenset()

    metric = models.TextField()
    quantity = models.BigIntegerField()
    source_id = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["metric", "source_id"], name="usage_record_once"),
            models.CheckConstraint(condition=models.Q(quantity__gt=0), name="usage_record_quantity"),
            models.CheckConstraint(
                condition=models.Q(metric__regex=r"^[a-z_]+(\.[a-z_]+)*$"), name="usage_record_metric"
            ),
        ]
