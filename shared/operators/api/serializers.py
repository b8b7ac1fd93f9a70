from __future__ import annotations

from rest_framework import serializers

from engine.api.fields import OutputSerializer, StrictSerializer, TextField
from shared.operators.models import ROLES

REASON_CHARACTERS_MAX = 500


class OperatorBody(OutputSerializer):
    """An operator."""

    id = serializers.CharField(source="public_id", help_text="`opr_...`")
    email = serializers.EmailField(source="user.email")
    display_name = serializers.CharField(source="user.display_name", allow_blank=True)
    role = serializers.ChoiceField(choices=ROLES)
    state = serializers.ChoiceField(choices=["invited", "active", "deactivated"], source="user.state")
    created_at = serializers.DateTimeField(source="user.created_at")
    last_sign_in_at = serializers.DateTimeField(source="user.last_login", allow_null=True)


class Why(StrictSerializer):
    """The reason that the operators' log keeps."""

    reason = TextField(max_length=REASON_CHARACTERS_MAX)


class ChangeRole(Why):
    role = serializers.ChoiceField(choices=ROLES)


class AuthenticatorBody(OutputSerializer):
    """A new authenticator. Both are shown this once."""

    otpauth_url = serializers.CharField(help_text="For an authenticator app, as text or as a QR code.")
    recovery_codes = serializers.ListField(
        child=serializers.CharField(), help_text="Each stands in for one code of the authenticator, once."
    )
