"""What an organization may use."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from engine.models import Model


class Plan(Model):
    """A named bundle of limits. `code` is what operators type."""

    id_prefix = "plan"

    code = models.CharField(max_length=32, unique=True)
    title = models.CharField(max_length=80)
    requests_per_minute_max = models.PositiveIntegerField()
    people_max = models.PositiveIntegerField()
    devices_max = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(code__regex=r"^[a-z][a-z0-9-]{1,31}$"), name="plan_code_is_a_slug"),
        ]
