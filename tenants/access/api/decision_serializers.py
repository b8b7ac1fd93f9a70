"""Questions about decisions, and their answers, on the wire."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from engine import ids
from engine.api.fields import OutputSerializer, StrictSerializer, TextField, TypeIdField
from tenants.access import rules
from tenants.access.api.policy_serializers import AMOUNT_MAX, PrincipalIdField

CHECKS_MAX = 100
REASONS = [one.value for one in rules.Reason]


@extend_schema_field({"type": "string", "pattern": "^(mem|app|dev)_[0-9a-z]{26}$"})
class AskedPrincipalField(PrincipalIdField):
    """`mem_...`, `app_...` or `dev_...`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("member", "app", "device", **kwargs)


@extend_schema_field({"type": "string", "pattern": "^(dev|site)_[0-9a-z]{26}$"})
class PlaceField(serializers.Field[Any, Any, str, Any]):
    """`site_...` or `dev_...`, as prefix and UUID inside."""

    default_error_messages = {"invalid_id": "This is not the id of a site or a device."}

    def to_internal_value(self, data: Any) -> tuple[str, Any]:
        """Prefix and UUID."""
        for prefix in ("site", "dev"):
            if isinstance(data, str) and data.startswith(f"{prefix}_"):
                try:
                    return prefix, ids.decode(prefix, data)
                except ids.InvalidId:
                    break
        self.fail("invalid_id")


class Check(StrictSerializer):
    """May this principal do that there?"""

    principal = AskedPrincipalField(
        required=False, help_text="Left out: you, with this token. Somebody else takes `members.read`."
    )
    permission = TextField(max_length=80, help_text="A name of `GET /v1/permissions`.")
    resource = PlaceField(required=False, help_text="`site_...` or `dev_...`. Left out: the organization as a whole.")
    amount_minor = serializers.IntegerField(required=False, min_value=1, max_value=AMOUNT_MAX)
    currency = serializers.RegexField(r"^[A-Z]{3}$", required=False, help_text="ISO 4217, of the amount.")


class CheckBatch(StrictSerializer):
    """Several questions at once."""

    checks = serializers.ListField(child=Check(), min_length=1, max_length=CHECKS_MAX)


class Explain(Check):
    """One question, about now or a moment of the past."""

    at = serializers.DateTimeField(required=False, help_text="Left out: now.")
    with_mfa = serializers.BooleanField(
        required=False, default=False, help_text="As if the principal had just shown a second factor."
    )


class DecisionBody(OutputSerializer):
    """Allowed or not, and why."""

    allowed = serializers.BooleanField()
    reason = serializers.ChoiceField(choices=REASONS)
    grant = TypeIdField("grant", source="grant_id", allow_null=True, help_text="The grant that allows it.")
    missing = serializers.CharField(allow_null=True, help_text="The permission that is not held there, now.")
    step_up = serializers.BooleanField(help_text="A fresh second factor, and nothing else, would turn it into a yes.")


class DecisionList(OutputSerializer):
    """The answers, in the order of the questions."""

    data = DecisionBody(many=True)  # type: ignore[assignment]  # the API's word, and a name of DRF's


class ConsideredBody(OutputSerializer):
    """One grant as the decision saw it."""

    grant = TypeIdField("grant", source="grant.id")
    role = serializers.CharField(source="grant.role")
    scope = serializers.ChoiceField(choices=[one.value for one in rules.Scope], source="grant.scope")
    group = TypeIdField("grp", source="grant.group_id", allow_null=True, help_text="Held by being in this group.")
    has_permission = serializers.BooleanField()
    covers = serializers.BooleanField(help_text="Whether it reaches over the resource.")
    failures = serializers.ListField(
        child=serializers.ChoiceField(choices=REASONS), help_text="Limits that do not hold."
    )
    allows = serializers.BooleanField()


class ExplanationBody(OutputSerializer):
    """The decision, and every grant that was looked at."""

    decision = DecisionBody()
    at = serializers.DateTimeField()
    is_replayed = serializers.BooleanField(help_text="Whether it is about the past, from the audit log.")
    catalogue_version = serializers.IntegerField(help_text="What the permissions mean is what this version says.")
    grants = ConsideredBody(source="considered", many=True)
