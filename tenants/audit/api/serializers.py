"""The wire format of the audit log."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from engine import ids
from engine.api.fields import StrictIntegerField, StrictSerializer, TypeIdField
from engine.api.paths import SUFFIX_PATTERN
from tenants.audit.models import RETENTION_DAYS_MIN, Entry


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
    address = serializers.CharField(allow_blank=True, help_text="Where the request came from.")
    through = serializers.CharField(
        allow_blank=True,
        help_text="What let the actor act, where that was not its own account: the app that a member has lent a "
        "token to, an impersonation.",
    )
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


@extend_schema_field({"type": "string", "pattern": f"^({'|'.join(ids.PRINCIPAL_PREFIXES.values())})_{SUFFIX_PATTERN}$"})
class ActorField(serializers.Field[Any, Any, str, Any]):
    """The id of anybody who can act, as kind and UUID inside."""

    default_error_messages = {"invalid_id": "This is not the id of a member, an app, a device or an operator."}

    def to_internal_value(self, data: Any) -> tuple[str, Any]:
        """Kind and UUID."""
        for kind, prefix in ids.PRINCIPAL_PREFIXES.items():
            if isinstance(data, str) and data.startswith(f"{prefix}_"):
                try:
                    return kind, ids.decode(prefix, data)
                except ids.InvalidId:
                    break
        self.fail("invalid_id")


class EntryQuery(StrictSerializer):
    """What to look for."""

    resource = serializers.CharField(
        required=False, default="", max_length=64, help_text="The id of the object that was acted on."
    )
    action = serializers.RegexField(
        r"^[a-z_]+(\.[a-z_]+)+$", required=False, max_length=100, help_text="What was done: `grant.created`."
    )
    actor = ActorField(required=False, help_text="Who did it.")
    since = serializers.DateTimeField(required=False, help_text="From this moment on.")
    until = serializers.DateTimeField(required=False, help_text="Before this moment.")


class SettingsBody(StrictSerializer):
    """How the log is kept."""

    retention_days = StrictIntegerField(
        allow_null=True,
        min_value=RETENTION_DAYS_MIN,
        max_value=36_500,
        help_text="Older entries leave as an export, once a day; null keeps them for ever.",
    )


class ExportQuery(StrictSerializer):
    """Where to begin."""

    after = serializers.IntegerField(
        required=False, default=0, min_value=0, max_value=2**53 - 1, help_text="The last number that you have."
    )
