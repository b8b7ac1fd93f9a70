"""What operators send and see about organizations and their flows."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from engine.api.fields import (
    CurrencyField,
    OutputSerializer,
    StrictIntegerField,
    StrictSerializer,
    TextField,
    TypeIdField,
)
from provisioning.models import Flow, FlowKind, FlowStatus
from provisioning.rules import DONE
from provisioning.steps import STEPS
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


class StepBody(OutputSerializer):
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=["done", "current", "ahead"])


class FlowDetailBody(FlowBody):
    organization = TypeIdField("org", source="organization_id")
    due_at = serializers.DateTimeField(allow_null=True, help_text="When a waiting flow goes on by itself.")
    steps = serializers.SerializerMethodField()

    @extend_schema_field(StepBody(many=True))
    def get_steps(self, flow: Flow) -> list[dict[str, str]]:
        """The kind's steps as this release knows them, and how far the cursor is."""
        names = list(STEPS.get(FlowKind(flow.kind), {}))
        at = len(names) if flow.step == DONE else names.index(flow.step) if flow.step in names else 0
        states = ["done" if index < at else "current" if index == at else "ahead" for index in range(len(names))]
        return [{"name": name, "state": state} for name, state in zip(names, states, strict=True)]


class FlowFilter(StrictSerializer):
    organization = TypeIdField("org", required=False, source="organization_id")
    kind = serializers.ChoiceField(FlowKind.choices, required=False)
    status = serializers.ChoiceField(FlowStatus.choices, required=False)


class GenerationBody(OutputSerializer):
    fingerprint = serializers.CharField(allow_blank=True, help_text="Empty for those that have no schema yet.")
    is_current = serializers.BooleanField(help_text="Whether these are this release's migrations.")
    organizations = serializers.IntegerField()


class FleetBody(OutputSerializer):
    current = serializers.CharField(help_text="The fingerprint of this release's migrations.")
    generations = GenerationBody(many=True)
    statuses = serializers.DictField(child=serializers.IntegerField(), help_text="Organizations by status.")
    ready_schemas = serializers.IntegerField(help_text="Schemas made ahead that this release can hand out.")


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
    flows = FlowBody(many=True, source="latest_flows")


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


class _PlanLimits(StrictSerializer):
    title = TextField(max_length=80, required=False)
    requests_per_minute_max = StrictIntegerField(min_value=1, required=False)
    people_max = StrictIntegerField(min_value=0, required=False)
    devices_max = StrictIntegerField(min_value=0, required=False)


class CreatePlan(_PlanLimits):
    code = TextField(max_length=32, help_text="What operators type, such as `standard`.")
    requests_per_minute_max = StrictIntegerField(min_value=1, default=6000)
    people_max = StrictIntegerField(min_value=0, default=100_000)
    devices_max = StrictIntegerField(min_value=0, default=1_000)


class ChangePlan(_PlanLimits):
    """What is left out stays as it is."""
