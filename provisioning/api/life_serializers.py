"""What operators send and see about the life of an organization."""

from __future__ import annotations

from rest_framework import serializers

from engine.api.fields import OutputSerializer, StrictSerializer, TextField, TypeIdField
from provisioning.history import REASON_CHARACTERS_MAX


class Because(StrictSerializer):
    reason = TextField(max_length=REASON_CHARACTERS_MAX, help_text="Kept in the organization's history.")


class HistoryEntryBody(OutputSerializer):
    id = TypeIdField("hist")
    action = serializers.CharField()
    actor = serializers.CharField()
    actor_display = serializers.CharField(allow_blank=True)
    reason = serializers.CharField(allow_blank=True)
    detail = serializers.DictField()
    created_at = serializers.DateTimeField()
