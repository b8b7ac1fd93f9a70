"""The wire format of events."""

from __future__ import annotations

import json
from typing import Any

from rest_framework import serializers

from engine.api.fields import TypeIdField
from tenants.events.models import Seal


class EventBody(serializers.Serializer[Seal]):
    """An event as webhooks deliver it, with its number."""

    id = TypeIdField("evt")
    sequence = serializers.IntegerField(
        min_value=1, help_text="Its number in this organization: 1, 2, 3 ... without gaps."
    )
    type = serializers.CharField(help_text="For example `payment.captured`.")
    api_version = serializers.CharField()
    schema_version = serializers.IntegerField(min_value=1)
    organization = TypeIdField("org")
    created_at = serializers.DateTimeField()
    data = serializers.DictField()  # type: ignore[assignment]  # DRF keeps declared fields elsewhere

    def to_representation(self, instance: Seal) -> dict[str, Any]:
        """The stored body, so that what is shown is what was signed and delivered."""
        return {**json.loads(instance.row.body), "sequence": instance.sequence}


class EventQuery(serializers.Serializer[Any]):
    """Where to begin."""

    after = serializers.IntegerField(
        required=False,
        default=0,
        min_value=0,
        max_value=2**63 - 1,
        help_text="Only events with a greater `sequence`: the last one that you have worked off.",
    )
