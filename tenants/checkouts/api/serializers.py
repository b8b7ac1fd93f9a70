"""The shapes of checkouts and of their rules on the wire."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from engine.api.fields import (
    CurrencyField,
    MinorAmountField,
    OutputSerializer,
    StrictIntegerField,
    StrictSerializer,
    TextField,
    TypeIdField,
)
from tenants.checkouts.rules import State

_PROBE_AGE_MAX_S = 600


class CheckoutFilter(StrictSerializer):
    """Which checkouts to list."""

    device = TypeIdField("dev", required=False)
    person = TypeIdField("per", required=False)
    state = serializers.ChoiceField([one.value for one in State], required=False)


class LivenessBody(OutputSerializer):
    """What the device said about liveness."""

    method = serializers.CharField(source="liveness_method")
    score = serializers.FloatField(source="liveness_score")


class MatchBody(OutputSerializer):
    """The figures that decided who it is. Null where the search was never made."""

    score = serializers.FloatField(allow_null=True)
    runner_up_score = serializers.FloatField(allow_null=True)
    threshold = serializers.FloatField(allow_null=True)
    gallery_size = serializers.IntegerField(allow_null=True)
    template = TypeIdField("tpl", source="template_id", allow_null=True)


class CheckoutBody(OutputSerializer):
    """A checkout: what was asked, what was decided and why, and the payment."""

    id = TypeIdField("chk")
    device = TypeIdField("dev", source="device_id")
    site = TypeIdField("site", source="site_id")
    sequence = serializers.IntegerField()
    amount_minor = MinorAmountField()
    currency = CurrencyField()
    state = serializers.ChoiceField([one.value for one in State])
    reason = serializers.SerializerMethodField()
    modality = serializers.CharField()
    model = serializers.CharField()
    liveness = LivenessBody(source="*")
    match = MatchBody(source="*")
    person = TypeIdField("per", source="person_id", allow_null=True)
    payment = TypeIdField("pay", source="payment_id", allow_null=True)
    confirms = TypeIdField("chk", source="confirms_id", allow_null=True)
    captured_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()

    def get_reason(self, row: Any) -> str | None:
        """Why it ended as it did, null when nothing has to be explained."""
        return row.reason or None


class PolicyInput(StrictSerializer):
    """The organization's rules for checkouts, all of them."""

    limit_minor = MinorAmountField(help_text="The most that one checkout may ask for.")
    confirmation_above_minor = MinorAmountField(
        min_value=0, help_text="Above it a PIN or a claimed person is needed as well."
    )
    probe_age_max_s = StrictIntegerField(
        min_value=1, max_value=_PROBE_AGE_MAX_S, help_text="How old a probe may be, in seconds."
    )
    liveness_min = serializers.FloatField(min_value=0, max_value=1)
    score_growth_per_tenfold = serializers.FloatField(
        min_value=0,
        max_value=1,
        help_text="What the threshold rises by for each tenfold of the gallery.",
    )
    score_margin = serializers.FloatField(
        min_value=0, max_value=1, help_text="By how much the second person has to be less alike."
    )


class PolicyBody(PolicyInput):
    """The rules as they are. The version is 0 until somebody changes them."""

    version = serializers.IntegerField(read_only=True)


class PinInput(StrictSerializer):
    """A PIN."""

    pin = TextField(min_length=4, max_length=12, help_text="4 to 12 digits.")
