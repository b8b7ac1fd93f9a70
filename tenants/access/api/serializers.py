from __future__ import annotations

from typing import Any

from rest_framework import serializers

from engine.api.fields import OutputSerializer, StrictBooleanField, StrictSerializer, TextField, TypeIdField
from shared.accounts.api.serializers import AccountBody
from tenants.access import assertions, clients, rules
from tenants.access.api.policy_serializers import ROLE_HELP
from tenants.access.permissions import ROLES


class InviteMember(StrictSerializer):
    """Invite a person."""

    email = serializers.EmailField(max_length=254)
    display_name = TextField(max_length=120, required=False, allow_blank=True, default="")
    role = TextField(max_length=40, required=False, help_text=f"{ROLE_HELP} Over the whole organization.")


class InvitedMember(AccountBody):
    """The member, and the invitation's token, which is shown this once."""

    invitation_token = serializers.CharField(
        help_text="Hand it to the person; it is accepted at `POST /v1/invitations/accept`."
    )


_JWK_HELP = "Public keys of EC P-256, Ed25519 or RSA, as JWKs (RFC 7517). With `private_key_jwt`."
_DELEGATED_HELP = "The permissions that the app may ask members to lend it; besides `openid` and its kin."


def _grant_types(**more: Any) -> serializers.ListField:
    choices = serializers.ChoiceField(choices=sorted(rules.REGISTRABLE_GRANT_TYPES))
    return serializers.ListField(child=choices, min_length=1, max_length=len(rules.REGISTRABLE_GRANT_TYPES), **more)


def _redirect_uris(**more: Any) -> serializers.ListField:
    uri = TextField(max_length=clients.REDIRECT_URI_CHARACTERS_MAX)
    help_text = "Where codes may be sent, to the letter. With `authorization_code`."
    return serializers.ListField(child=uri, max_length=clients.REDIRECT_URIS_MAX, help_text=help_text, **more)


def _keys(**more: Any) -> serializers.ListField:
    key = serializers.DictField()
    return serializers.ListField(child=key, max_length=assertions.KEYS_MAX, help_text=_JWK_HELP, **more)


def _delegated_scopes(**more: Any) -> serializers.ListField:
    scope = TextField(max_length=64)
    return serializers.ListField(child=scope, max_length=100, help_text=_DELEGATED_HELP, **more)


class CreateApp(StrictSerializer):
    """Make an app."""

    name = TextField(max_length=120)
    roles = serializers.ListField(
        child=serializers.ChoiceField(choices=sorted(name for name, role in ROLES.items() if "app" in role.kinds)),
        max_length=len(ROLES),
        required=False,
        default=list,
        help_text="Built-in roles, over the whole organization. Others are given by `POST /v1/grants`.",
    )
    grant_types = _grant_types(required=False, default=lambda: [rules.GrantType.CLIENT_CREDENTIALS.value])
    auth_method = serializers.ChoiceField(
        choices=[one.value for one in rules.AuthMethod],
        required=False,
        default=rules.AuthMethod.SECRET.value,
        help_text="How the app shows who it is; it stays. `none` is for apps on a machine of somebody else's.",
    )
    redirect_uris = _redirect_uris(required=False, default=list)
    jwks = _keys(required=False, default=list)
    delegated_scopes = _delegated_scopes(required=False, default=list)


class UpdateApp(StrictSerializer):
    """Change an app; what is left out stays."""

    name = TextField(max_length=120, required=False)
    grant_types = _grant_types(required=False)
    redirect_uris = _redirect_uris(required=False)
    jwks = _keys(required=False)
    delegated_scopes = _delegated_scopes(required=False)


class AppBody(OutputSerializer):
    """An app: an OAuth client of the organization."""

    id = serializers.CharField(source="public_id")
    client_id = serializers.CharField(help_text="The same as `id`.")
    name = serializers.CharField()
    is_active = serializers.BooleanField()
    grant_types = serializers.ListField(child=serializers.CharField())
    auth_method = serializers.ChoiceField(choices=[one.value for one in rules.AuthMethod])
    redirect_uris = serializers.SerializerMethodField()
    jwks = serializers.ListField(child=serializers.DictField())
    delegated_scopes = serializers.ListField(child=serializers.CharField())
    secret_rotated_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()

    def get_redirect_uris(self, app: Any) -> list[str]:
        return list(app.redirect_uris.split())


class AppSecretBody(AppBody):
    """An app and its secret, which is shown this once."""

    client_secret = serializers.CharField(allow_blank=True, help_text="Empty for an app without one.")


class AuthorizationBody(OutputSerializer):
    """What a member lets an app do."""

    id = serializers.CharField(source="public_id")
    app_id = TypeIdField("app")
    app_name = serializers.CharField(source="app.name")
    scopes = serializers.ListField(child=serializers.CharField())
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(help_text="Moves on with use, where the app may refresh.")


class RotateSigningKey(StrictSerializer):
    """Make a new signing key."""

    immediately = StrictBooleanField(
        required=False,
        default=False,
        help_text="For a key that others know: the new one signs at once, and every token signed so far is dead.",
    )


class SigningKeyBody(OutputSerializer):
    """A key that verifies the organization's tokens."""

    id = serializers.CharField(source="public_id")
    kid = serializers.CharField()
    algorithm = serializers.CharField()
    signs_at = serializers.DateTimeField(help_text="From when it signs, until a newer one does.")
    retired_at = serializers.DateTimeField(allow_null=True, help_text="Until when it verifies.")
    created_at = serializers.DateTimeField()
