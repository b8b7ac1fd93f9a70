"""The wire format of the audit log."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from engine import ids
from engine.api.fields import TypeIdField
from tenants.audit.models import Entry


class ActorBody(serializers.Serializer[Any]):
    """Who acted."""

    kind = serializers.ChoiceField(choices=sorted(ids.PRINCIPAL_PREFIXES))
    id = serializers.CharField()
    display = serializers.CharField(allow_blank=True)


class AuditEntryBody(serializers.Serializer[Entry]):
    """One entry of the audit log."""

    id = TypeIdField("aud")
    sequence = serializers.SerializerMethodField(
        help_text="Its number in the chain: 1, 2, 3 ... without gaps; null in the first moments."
    )
    created_at = serializers.DateTimeField()
    action = serializers.CharField()
    actor = serializers.SerializerMethodField()
    resource = serializers.CharField()
    detail = serializers.DictField()
    decision_id = serializers.UUIDField(allow_null=True)
    request_id = serializers.CharField(allow_blank=True)
    hash = serializers.SerializerMethodField(
        help_text="SHA-256 (hexadecimal) over this entry and, through its predecessor's, all before it."
    )

    @extend_schema_field({"type": "integer", "minimum": 1, "nullable": True})
    def get_sequence(self, entry: Entry) -> int | None:
        seal = getattr(entry, "seal", None)
        return seal.sequence if seal else None

    @extend_schema_field(ActorBody)
    def get_actor(self, entry: Entry) -> dict[str, str]:
        prefix = ids.PRINCIPAL_PREFIXES[entry.actor_kind]
        return {
            "kind": entry.actor_kind,
            "id": ids.encode(prefix, entry.actor_id),
            "display": entry.actor_display,
        }

    @extend_schema_field({"type": "string", "nullable": True})
    def get_hash(self, entry: Entry) -> str | None:
        seal = getattr(entry, "seal", None)
        return bytes(seal.hash).hex() if seal else None


class EntryQuery(serializers.Serializer[Any]):
    """What to look for."""

    resource = serializers.CharField(
        required=False, default="", max_length=64, help_text="The id of the object that was acted on."
    )
