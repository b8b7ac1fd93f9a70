"""What operators send and see about organizations and their flows."""

from __future__ import annotations

from rest_framework import serializers

from engine.api.fields import CurrencyField, OutputSerializer, StrictSerializer, TextField, TypeIdField
from provisioning.models import FlowKind, FlowStatus
from shared.organizations.models import Environment, OrganizationStatus


class CreateOrganization(StrictSerializer):
    slug = TextField(max_length=253, help_text="The first label of its host: `acme` answers at acme.<base domain>.")
    name = TextField(max_length=120)
    plan = TextField(max_length=32, help_text="A plan's code.")
    admin_email = serializers.EmailField(max_length=254, help_text="Its first member, who becomes owner.")
    environment = serializers.ChoiceField(Environment.choices, default="live", help_text="Can never change.")
    time_zone = TextField(max_length=64, default="UTC", help_text="IANA name. Can never change.")
    locale = TextField(max_length=16, default="en", help_text="Can never change.")
    currency = CurrencyField(default="EUR", help_text="Can never change.")


class FlowBody(OutputSerializer):
    id = TypeIdField("flow")
    kind = serializers.ChoiceField(FlowKind.choices)
    status = serializers.ChoiceField(FlowStatus.choices)
    step = serializers.CharField()
    attempts = serializers.IntegerField()
    last_error = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class OrganizationBody(OutputSerializer):
    id = TypeIdField("org")
    slug = serializers.CharField()
    name = serializers.CharField()
    status = serializers.ChoiceField(OrganizationStatus.choices)
    plan = serializers.CharField(source="plan.code")
    issuer = serializers.CharField()
    environment = serializers.ChoiceField(Environment.choices)
    cell = serializers.CharField()
    time_zone = serializers.CharField()
    locale = serializers.CharField()
    currency = serializers.CharField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class OrganizationDetailBody(OrganizationBody):
    flows = FlowBody(many=True)


class OrganizationFilter(StrictSerializer):
    slug = serializers.CharField(max_length=40, required=False)
    status = serializers.ChoiceField(OrganizationStatus.choices, required=False)


class PlanBody(OutputSerializer):
    id = TypeIdField("plan")
    code = serializers.CharField()
    title = serializers.CharField()
    requests_per_minute_max = serializers.IntegerField()
    people_max = serializers.IntegerField()
    devices_max = serializers.IntegerField()
