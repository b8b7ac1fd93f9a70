"""What operators send and see about the life of an organization."""

from __future__ import annotations

from rest_framework import serializers

from engine.api.fields import OutputSerializer, StrictSerializer, TextField, TypeIdField
from provisioning.organizations import REASON_CHARACTERS_MAX


class Because(StrictSerializer):
    reason = TextField(max_length=REASON_CHARACTERS_MAX, help_text="Kept in the operators' log.")


class OffboardingBody(OutputSerializer):
    id = TypeIdField("off")
    reason = serializers.CharField()
    requested_by = serializers.CharField()
    requested_at = serializers.DateTimeField(source="created_at")
    approved_by = serializers.CharField(allow_blank=True, help_text="Empty until another operator has approved it.")
    approved_at = serializers.DateTimeField(allow_null=True)
    grace_ends_at = serializers.DateTimeField(allow_null=True, help_text="Until then it can be cancelled.")
    cancelled_by = serializers.CharField(allow_blank=True)
    cancelled_at = serializers.DateTimeField(allow_null=True)
    final_at = serializers.DateTimeField(allow_null=True)
    certificate = serializers.CharField(
        allow_blank=True, help_text="A JWS of what was destroyed; empty until everything is."
    )
