from __future__ import annotations

from datetime import datetime

from rest_framework import serializers

from engine.api.fields import JSONObjectField, OutputSerializer, StrictSerializer, TextField, TypeIdField
from shared.accounts import passwords
from shared.accounts.models import Session


class CreateSession(StrictSerializer):
    """Sign in."""

    email = TextField(max_length=254, help_text="The account's e-mail address, in any case.")
    password = TextField(max_length=passwords.CHARACTERS_MAX, trim_whitespace=False, write_only=True)
    otp = TextField(
        max_length=20,
        required=False,
        help_text="The one-time code of the authenticator, or a recovery code. Operators always need one.",
    )


class ShowCode(StrictSerializer):
    """The second factor of a sign-in whose password was right."""

    sign_in_token = TextField(max_length=100, write_only=True, help_text="`kcy_...`, from `otp_required`.")
    otp = TextField(max_length=20, write_only=True, help_text="A one-time code, or a recovery code.")


class SessionBody(OutputSerializer):
    """A session, without its token."""

    id = TypeIdField("ses")
    user_id = serializers.CharField(source="user.public_id", help_text="`mem_...` or `opr_...`")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField(help_text="To within five minutes.")
    address = serializers.CharField(allow_null=True, help_text="The IP address that signed in.")
    user_agent = serializers.CharField(allow_blank=True)
    methods = serializers.SerializerMethodField(help_text="What was shown, in the words of RFC 8176.")
    authenticated_at = serializers.SerializerMethodField(help_text="When its owner last showed who they are.")
    mfa_at = serializers.DateTimeField(allow_null=True, help_text="When a second factor was last shown.")

    def get_methods(self, row: Session) -> list[str]:
        return row.methods.split()

    def get_authenticated_at(self, row: Session) -> datetime:
        return row.authenticated_at or row.created_at


class NewSessionBody(SessionBody):
    """A session and its token, which is shown this once."""

    token = serializers.CharField(help_text="Send it as `Authorization: Bearer kst_...`.")


class PasskeyOptions(OutputSerializer):
    """A ceremony, and what the browser's `navigator.credentials` takes."""

    ceremony_token = serializers.CharField(help_text="`kcy_...`, good for five minutes.")
    public_key = serializers.DictField(
        help_text="For `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`."
    )


class BeginPasskeySignIn(StrictSerializer):
    """Without a password, or beside it."""

    sign_in_token = TextField(
        max_length=100,
        required=False,
        default="",
        write_only=True,
        help_text="From `otp_required`, when the passkey is the second factor.",
    )


class ShowPasskey(StrictSerializer):
    """What the browser answered."""

    ceremony_token = TextField(max_length=100, write_only=True)
    credential = JSONObjectField(max_bytes=16_384, help_text="The credential, by its `toJSON`.")


class CreatePasskey(ShowPasskey):
    """A new passkey."""

    name = TextField(max_length=60, help_text="For you to know it by.")


class PasskeyBody(OutputSerializer):
    """A passkey, without its keys."""

    id = TypeIdField("pky")
    name = serializers.CharField()
    is_backed_up = serializers.BooleanField(help_text="Whether its maker keeps a copy for other devices.")
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class RequestPasswordReset(StrictSerializer):
    """Ask for a mail."""

    email = TextField(max_length=254)


class ConfirmPasswordReset(StrictSerializer):
    """Set a new password by the token of the mail."""

    token = TextField(max_length=100, write_only=True)
    password = TextField(
        max_length=passwords.CHARACTERS_MAX,
        min_length=passwords.CHARACTERS_MIN,
        trim_whitespace=False,
        write_only=True,
    )


class ChangePassword(StrictSerializer):
    """Another password."""

    password = TextField(
        max_length=passwords.CHARACTERS_MAX,
        min_length=passwords.CHARACTERS_MIN,
        trim_whitespace=False,
        write_only=True,
    )


class StepUp(StrictSerializer):
    """Show again who you are: a code where the account has a second factor, else the password."""

    otp = TextField(max_length=20, required=False, default="", write_only=True)
    password = TextField(
        max_length=passwords.CHARACTERS_MAX, trim_whitespace=False, required=False, default="", write_only=True
    )


class ConfirmAuthenticator(StrictSerializer):
    """The code that the new authenticator shows."""

    otp = TextField(max_length=20, write_only=True)


class AuthenticatorUrl(OutputSerializer):
    """A new authenticator, shown this once. It counts once it is confirmed."""

    otpauth_url = serializers.CharField(help_text="For an authenticator app, as text or as a QR code.")


class RecoveryCodes(OutputSerializer):
    """Recovery codes, shown this once. Empty when earlier ones go on to be good."""

    recovery_codes = serializers.ListField(
        child=serializers.CharField(), help_text="Each stands in for one code of the authenticator, once."
    )


class SecondFactorsBody(OutputSerializer):
    """What one has beside the password."""

    authenticator = serializers.BooleanField()
    recovery_codes = serializers.IntegerField(help_text="How many are left.")
    passkeys = serializers.IntegerField()
    mfa_required = serializers.BooleanField(help_text="Whether one has to have one here.")


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
