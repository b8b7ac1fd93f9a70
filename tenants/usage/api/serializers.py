"""The wire format of usage."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from engine.api.fields import TypeIdField
from tenants.usage.models import Record


class RecordBody(serializers.Serializer[Record]):
    """One usage record."""

    id = TypeIdField("use")
    metric = serializers.CharField()
    quantity = serializers.IntegerField(min_value=1)
    source_id = serializers.CharField(help_text="The object that caused it, for example a checkout.")
    created_at = serializers.DateTimeField()


class RecordQuery(serializers.Serializer[Any]):
    """What to look for."""

    metric = serializers.CharField(required=False, default="", max_length=64)
