from __future__ import annotations

from rest_framework import serializers

from engine.api.fields import OutputSerializer, StrictBooleanField, StrictSerializer, TextField, TypeIdField


class SignInPolicyBody(OutputSerializer):
    """What the organization asks of its people."""

    mfa_required = serializers.BooleanField(help_text="Whether everybody needs a second factor.")


class ChangeSignInPolicy(StrictSerializer):
    """Ask for a second factor, or no longer."""

    mfa_required = StrictBooleanField()


class AddProvider(StrictSerializer):
    """An OpenID Connect provider. Register `<issuer of the organization>/sign-in/callback` there."""

    name = TextField(max_length=60, help_text="What people read on the button.")
    issuer = TextField(max_length=255, help_text="Exactly as its discovery document says.")
    client_id = TextField(max_length=255)
    client_secret = TextField(
        max_length=500, required=False, write_only=True, help_text="Not for a client that has none."
    )
    trusts_mfa = StrictBooleanField(
        required=False, default=False, help_text="Whether its `amr` counts as a second factor here."
    )


class ProviderBody(OutputSerializer):
    """An identity provider, without its secret."""

    id = TypeIdField("idp")
    name = serializers.CharField()
    issuer = serializers.CharField()
    client_id = serializers.CharField()
    trusts_mfa = serializers.BooleanField()
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()


class ButtonBody(OutputSerializer):
    """What a sign-in page shows."""

    id = TypeIdField("idp")
    name = serializers.CharField()


class Begin(StrictSerializer):
    """Where to sign in."""

    provider = TypeIdField("idp")


class BegunBody(OutputSerializer):
    """Where to send the browser."""

    authorization_url = serializers.CharField()
    state = serializers.CharField(help_text="What comes back at `/sign-in/callback`.")


class Answer(StrictSerializer):
    """The query of the callback."""

    state = TextField(max_length=100, write_only=True)
    code = TextField(max_length=4000, write_only=True)
    iss = TextField(max_length=255, required=False, help_text="When the provider sends it (RFC 9207).")


class IdentityBody(OutputSerializer):
    """A link between an account at a provider and a member."""

    id = TypeIdField("lid")
    provider = TypeIdField("idp", source="provider_id")
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
