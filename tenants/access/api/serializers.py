from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from engine import ids
from engine.api.fields import OutputSerializer, StrictBooleanField, StrictSerializer, TextField, TypeIdField
from engine.principals import PrincipalKind
from shared.accounts.api.serializers import AccountBody
from tenants.access import assertions, clients, rules
from tenants.access.permissions import ROLES

HOLDERS: tuple[PrincipalKind, ...] = ("member", "app", "device")
_ROLE_HELP = "A built-in role, see `GET /v1/roles`."


@extend_schema_field({"type": "string", "pattern": "^(mem|app|dev)_[0-9a-z]{26}$"})
class PrincipalField(serializers.Field[Any, Any, str, Any]):
    """`mem_...`, `app_...` or `dev_...`, as kind and UUID inside."""

    default_error_messages = {"invalid_id": "This is not the id of a member, an app or a device."}

    def to_internal_value(self, data: Any) -> tuple[PrincipalKind, Any]:
        """Kind and UUID."""
        for kind in HOLDERS:
            prefix = ids.PRINCIPAL_PREFIXES[kind]
            if isinstance(data, str) and data.startswith(f"{prefix}_"):
                try:
                    return kind, ids.decode(prefix, data)
                except ids.InvalidId:
                    break
        self.fail("invalid_id")

    def to_representation(self, value: Any) -> str:
        """The public id of a principal."""
        return str(value.public_id)


class RoleBody(OutputSerializer):
    """A built-in role."""

    name = serializers.CharField()
    meaning = serializers.CharField()
    permissions = serializers.SerializerMethodField()
    principals = serializers.SerializerMethodField()

    def get_permissions(self, role: Any) -> list[str]:
        return sorted(role.permissions)

    def get_principals(self, role: Any) -> list[str]:
        return sorted(role.kinds)


class RoleList(OutputSerializer):
    """All roles; there are few, so there are no pages."""

    data = RoleBody(many=True)  # type: ignore[assignment]  # the API's word, and a name of DRF's


class CreateGrant(StrictSerializer):
    """Give somebody a role."""

    principal = PrincipalField(help_text="`mem_...`, `app_...` or `dev_...`")
    role = TextField(max_length=40, help_text=_ROLE_HELP)
    scope = serializers.ChoiceField(
        choices=[one.value for one in rules.Scope],
        default=rules.Scope.ORGANIZATION.value,
        help_text="Over the organization, a site with everything under it, or one device.",
    )
    site_id = TypeIdField("site", required=False, help_text="With the scope `site`.")
    device_id = TypeIdField("dev", required=False, help_text="With the scope `device`.")


class GrantBody(OutputSerializer):
    """A principal's role over a part of the organization."""

    id = serializers.CharField(source="public_id")
    principal = PrincipalField()
    role = serializers.CharField()
    scope = serializers.ChoiceField(choices=[one.value for one in rules.Scope])
    site_id = TypeIdField("site", allow_null=True)
    device_id = TypeIdField("dev", allow_null=True)
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()


class GrantFilter(StrictSerializer):
    """Which grants."""

    principal = PrincipalField(required=False, help_text="Those of one member, app or device.")


class InviteMember(StrictSerializer):
    """Invite a person."""

    email = serializers.EmailField(max_length=254)
    display_name = TextField(max_length=120, required=False, allow_blank=True, default="")
    role = TextField(max_length=40, required=False, help_text=f"{_ROLE_HELP} Over the whole organization.")


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
        help_text=f"{_ROLE_HELP} Over the whole organization.",
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
