from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from engine import ids
from engine.api.fields import OutputSerializer, StrictSerializer, TextField, TypeIdField
from engine.principals import PrincipalKind
from shared.accounts.api.serializers import AccountBody
from tenants.access import rules
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


class AppBody(OutputSerializer):
    """An app: an OAuth client of the organization."""

    id = serializers.CharField(source="public_id")
    client_id = serializers.CharField(help_text="The same as `id`.")
    name = serializers.CharField()
    is_active = serializers.BooleanField()
    secret_rotated_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class AppSecretBody(AppBody):
    """An app and its secret, which is shown this once."""

    client_secret = serializers.CharField()


class TokenBody(OutputSerializer):
    """RFC 6749, section 5.1."""

    access_token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField()
    scope = serializers.CharField(allow_blank=True)


class TokenRequest(serializers.Serializer[Any]):
    """RFC 6749, section 4.4.2, as a form. The client may use HTTP Basic instead of the two fields."""

    grant_type = serializers.ChoiceField(choices=["client_credentials"])
    scope = serializers.CharField(required=False, help_text="Permissions, separated by spaces.")
    client_id = serializers.CharField(required=False)
    client_secret = serializers.CharField(required=False)


class OAuthError(OutputSerializer):
    """RFC 6749, section 5.2."""

    error = serializers.CharField()
    error_description = serializers.CharField(required=False)


class KeySet(OutputSerializer):
    """RFC 7517, section 5."""

    keys = serializers.ListField(child=serializers.DictField())


class ServerMetadata(OutputSerializer):
    """RFC 8414, section 2: what this authorization server can do today."""

    issuer = serializers.CharField()
    token_endpoint = serializers.CharField()
    jwks_uri = serializers.CharField()
    scopes_supported = serializers.ListField(child=serializers.CharField())
    response_types_supported = serializers.ListField(child=serializers.CharField())
    grant_types_supported = serializers.ListField(child=serializers.CharField())
    token_endpoint_auth_methods_supported = serializers.ListField(child=serializers.CharField())
    service_documentation = serializers.CharField()
