"""What operators send and see about the life of an organization."""

from __future__ import annotations

from rest_framework import serializers

from engine.api.fields import OutputSerializer, StrictSerializer, TextField, TypeIdField
from provisioning.organizations import REASON_CHARACTERS_MAX


class Because(StrictSerializer):
    reason = TextField(max_length=REASON_CHARACTERS_MAX, help_text="Kept in the operators' log.")


class Rename(StrictSerializer):
    slug = TextField(max_length=253, help_text="The first label of its new host.")
    old_host = serializers.ChoiceField(
        choices=["redirect", "gone"],
        default="redirect",
        help_text="What its former host does: send callers on with 308, or answer 404. Nobody else is ever given it.",
    )


class AssignPlan(StrictSerializer):
    plan = TextField(max_length=32, help_text="A plan's code.")


class ClaimDomain(StrictSerializer):
    host = TextField(max_length=253, help_text="For example `id.example.com`.")


class DomainClaimBody(OutputSerializer):
    id = TypeIdField("claim")
    host = serializers.CharField()
    record_name = serializers.CharField(help_text="The TXT record that has to hold the challenge.")
    challenge = serializers.CharField()
    expires_at = serializers.DateTimeField(help_text="Until then it has to be verified.")
    verified_at = serializers.DateTimeField(allow_null=True, help_text="Since then the host answers.")
    checked_at = serializers.DateTimeField(allow_null=True)
    finding = serializers.CharField(allow_blank=True, help_text="What the last look at DNS found wrong.")
    removed_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


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
