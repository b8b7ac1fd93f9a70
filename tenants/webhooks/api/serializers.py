"""The wire format of webhooks."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from engine.api.fields import (
    OutputSerializer,
    StrictBooleanField,
    StrictIntegerField,
    StrictSerializer,
    TextField,
    TypeIdField,
)
from tenants.webhooks import rules
from tenants.webhooks.models import Delivery, DeliveryState, DisabledReason, EndpointStatus

_STATES = [EndpointStatus.ENABLED.value, EndpointStatus.DISABLED.value]


class EndpointInput(StrictSerializer):
    """A new endpoint."""

    url = TextField(max_length=rules.URL_CHARACTERS_MAX, help_text="https://, on the public internet.")
    event_types = serializers.ListField(
        child=TextField(max_length=100),
        min_length=1,
        max_length=rules.EVENT_TYPES_MAX,
        help_text="`payment.captured`, `payment.*` or `*`.",
    )
    description = TextField(required=False, allow_blank=True, max_length=500)
    api_version = TextField(required=False, max_length=20, help_text="The version that deliveries are rendered in.")


class EndpointChange(StrictSerializer):
    """What to change of an endpoint."""

    url = TextField(required=False, max_length=rules.URL_CHARACTERS_MAX)
    event_types = serializers.ListField(
        required=False, child=TextField(max_length=100), min_length=1, max_length=rules.EVENT_TYPES_MAX
    )
    description = TextField(required=False, allow_blank=True, max_length=500)
    enabled = StrictBooleanField(required=False, help_text="Enabling forgets past failures.")


class EndpointBody(OutputSerializer):
    """An endpoint."""

    id = TypeIdField("we")
    url = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    event_types = serializers.ListField(child=serializers.CharField())
    api_version = serializers.CharField()
    status = serializers.ChoiceField(choices=_STATES)
    disabled_reason = serializers.ChoiceField(choices=DisabledReason.values, allow_blank=True)
    failing_since = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class EndpointWithSecretBody(EndpointBody):
    """An endpoint with its new secret, which is shown this once."""

    secret = serializers.CharField(help_text="`whsec_...`: give it to the receiver; it is never shown again.")


class RotateInput(StrictSerializer):
    """How long the secrets before go on signing."""

    overlap_hours = StrictIntegerField(required=False, default=24, min_value=0, max_value=168)


class DeliveryBody(OutputSerializer):
    """A delivery."""

    id = TypeIdField("dlv")
    webhook_endpoint = TypeIdField("we", source="endpoint_id")
    event = TypeIdField("evt", source="event_id")
    event_type = serializers.CharField()
    sequence = serializers.IntegerField(min_value=1)
    state = serializers.ChoiceField(choices=DeliveryState.values)
    attempts = serializers.IntegerField(min_value=0)
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class AttemptBody(OutputSerializer):
    """One request and what came of it."""

    number = serializers.IntegerField(min_value=1)
    status = serializers.IntegerField(allow_null=True, help_text="The receiver's HTTP status.")
    error = serializers.CharField(
        allow_blank=True, help_text="Why it did not arrive: `timeout`, `refused`, `address_refused` ..."
    )
    duration_ms = serializers.IntegerField(min_value=0)
    response = serializers.CharField(allow_blank=True, help_text="The beginning of the receiver's answer.")
    created_at = serializers.DateTimeField()


class DeliveryDetailBody(DeliveryBody):
    """A delivery with its log."""

    attempt_log = serializers.SerializerMethodField()

    def get_attempt_log(self, delivery: Delivery) -> list[dict[str, Any]]:
        """The attempts, first to last."""
        ordered = sorted(delivery.attempt_log.all(), key=lambda attempt: attempt.number)
        written: list[dict[str, Any]] = list(AttemptBody(ordered, many=True).data)
        return written


class DeliveryQuery(serializers.Serializer[Any]):
    """What to look for."""

    webhook_endpoint = TypeIdField("we", required=False)
    state = serializers.ChoiceField(choices=DeliveryState.values, required=False, default="")
