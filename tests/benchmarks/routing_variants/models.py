"""The one table that all three variants read."""

from __future__ import annotations

from django.db import models


class Item(models.Model):
    name = models.CharField(max_length=80)
    amount_minor = models.IntegerField()

    class Meta:
        app_label = "routing_variants"
        db_table = "bench_item"
