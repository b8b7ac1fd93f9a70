from __future__ import annotations

from rest_framework import serializers

from engine import ids
from engine.api.fields import OutputSerializer, StrictSerializer, TextField, TypeIdField
from shared.operator_log.models import ACTORS, Act


class ActorOfActBody(OutputSerializer):
    """Who acted."""

    kind = serializers.ChoiceField(choices=sorted(ACTORS))
    id = serializers.CharField(source="public_id", help_text="`opr_...`; `sys_...` for the command line and flows.")
    display = serializers.CharField(allow_blank=True)


class ActBody(OutputSerializer):
    """One act of platform staff."""

    id = TypeIdField("act")
    created_at = serializers.DateTimeField()
    action = serializers.CharField()
    actor = ActorOfActBody()
    organization = serializers.SerializerMethodField()
    reason = serializers.CharField(allow_blank=True)
    detail = serializers.DictField()
    request_id = serializers.CharField(allow_blank=True)

    def get_organization(self, act: Act) -> str | None:
        return ids.encode("org", act.organization_id) if act.organization_id else None


class ActFilter(StrictSerializer):
    """What to look for."""

    organization = TypeIdField(
        "org", required=False, source="organization_id", help_text="Only what was done to this organization."
    )
    operator = TypeIdField("opr", required=False, source="operator_id", help_text="Only what this operator did.")
    action = TextField(max_length=64, required=False, help_text="Only acts of this kind.")
