from __future__ import annotations

from rest_framework import serializers

from engine.api.fields import OutputSerializer, StrictSerializer, TextField, TypeIdField
from shared.accounts import passwords


class CreateSession(StrictSerializer):
    """Sign in."""

    email = TextField(max_length=254, help_text="The account's e-mail address, in any case.")
    password = TextField(max_length=passwords.CHARACTERS_MAX, trim_whitespace=False, write_only=True)
    otp = TextField(
        max_length=20,
        required=False,
        help_text="The one-time code of the authenticator, or a recovery code. Operators always need one.",
    )


class SessionBody(OutputSerializer):
    """A session, without its token."""

    id = TypeIdField("ses")
    user_id = serializers.CharField(source="user.public_id", help_text="`mem_...` or `opr_...`")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField(help_text="To within five minutes.")
    address = serializers.CharField(allow_null=True, help_text="The IP address that signed in.")
    user_agent = serializers.CharField(allow_blank=True)


class NewSessionBody(SessionBody):
    """A session and its token, which is shown this once."""

    token = serializers.CharField(help_text="Send it as `Authorization: Bearer kst_...`.")


class AcceptInvitation(StrictSerializer):
    """Set the first password."""

    token = TextField(max_length=100, write_only=True)
    password = TextField(
        max_length=passwords.CHARACTERS_MAX,
        min_length=passwords.CHARACTERS_MIN,
        trim_whitespace=False,
        write_only=True,
    )


class AccountBody(OutputSerializer):
    """An account that can sign in."""

    id = serializers.CharField(source="public_id")
    email = serializers.EmailField()
    display_name = serializers.CharField(allow_blank=True)
    state = serializers.ChoiceField(choices=["invited", "active", "deactivated"])
    created_at = serializers.DateTimeField()


class ImpersonatedBody(OutputSerializer):
    """Show it: somebody of the platform's staff looks into the organization."""

    id = serializers.CharField(help_text="`imp_...`")
    operator = serializers.CharField(help_text="`opr_...`")
    role = serializers.CharField()
    reason = serializers.CharField()
    expires_at = serializers.DateTimeField()


class MeBody(OutputSerializer):
    """Who asks."""

    id = serializers.CharField(source="principal.public_id", help_text="`mem_...`, `app_...` or `opr_...`")
    kind = serializers.ChoiceField(choices=["member", "app", "operator"], source="principal.kind")
    display = serializers.CharField(source="principal.display", allow_blank=True)
    impersonation = ImpersonatedBody(allow_null=True)
