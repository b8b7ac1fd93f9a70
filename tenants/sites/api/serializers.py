from __future__ import annotations

from typing import Any

from rest_framework import serializers

from engine.api.fields import OutputSerializer, StrictSerializer, TextField, TypeIdField

_ZONE_HELP = "An IANA name such as Europe/Lisbon. Empty: the parent's, at the top the organization's."


class CreateSite(StrictSerializer):
    """Make a site."""

    name = TextField(max_length=120, help_text="Unique among the sites of the same parent.")
    parent_id = TypeIdField("site", required=False, allow_null=True, default=None)
    time_zone = TextField(max_length=64, required=False, allow_blank=True, default="", help_text=_ZONE_HELP)


class UpdateSite(StrictSerializer):
    """Change a site; what is left out stays."""

    name = TextField(max_length=120, required=False)
    parent_id = TypeIdField("site", required=False, allow_null=True, help_text="null moves it to the top.")
    time_zone = TextField(max_length=64, required=False, allow_blank=True, help_text=_ZONE_HELP)


class SiteBody(OutputSerializer):
    """A place of the organization."""

    id = serializers.CharField(source="public_id")
    parent_id = TypeIdField("site", allow_null=True)
    name = serializers.CharField()
    time_zone = serializers.CharField(allow_blank=True, help_text=_ZONE_HELP)
    effective_time_zone = serializers.SerializerMethodField(help_text="The one that holds there.")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_effective_time_zone(self, site: Any) -> str:
        return str(self.context["time_zones"][site.id])
