"""Roles, groups and grants on the wire."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from engine import ids
from engine.api.fields import OutputSerializer, StrictSerializer, TextField, TypeIdField
from tenants.access import groups, limiting, roles, rules
from tenants.access.models import GROUP, Group
from tenants.access.rules.limits import WINDOWS_MAX

ROLE_HELP = "The name of a role, see `GET /v1/roles`."
_SUFFIX = "[0-9a-z]{26}"
_PREFIXES = {**{kind: ids.PRINCIPAL_PREFIXES[kind] for kind in ("member", "app", "device")}, GROUP: Group.id_prefix}
AMOUNT_MAX = 1_000_000_000_000


class PrincipalIdField(serializers.Field[Any, Any, str, Any]):
    """The id of a principal, or of a group of them, as kind and UUID inside."""

    default_error_messages = {"invalid_id": "This is not the id of {kinds}."}

    def __init__(self, *kinds: str, **kwargs: Any) -> None:
        self.kinds = kinds
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> tuple[Any, Any]:
        """Kind and UUID."""
        for kind in self.kinds:
            prefix = _PREFIXES[kind]
            if isinstance(data, str) and data.startswith(f"{prefix}_"):
                try:
                    return kind, ids.decode(prefix, data)
                except ids.InvalidId:
                    break
        self.fail("invalid_id", kinds=" or ".join(f"a {kind}" for kind in self.kinds))

    def to_representation(self, value: Any) -> str:
        """The public id of a principal or a group."""
        return str(value.public_id)


@extend_schema_field({"type": "string", "pattern": f"^(mem|app|dev|grp)_{_SUFFIX}$"})
class GranteeField(PrincipalIdField):
    """`mem_...`, `app_...`, `dev_...` or `grp_...`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("member", "app", "device", GROUP, **kwargs)


@extend_schema_field({"type": "string", "pattern": f"^(mem|dev)_{_SUFFIX}$"})
class GroupMemberField(PrincipalIdField):
    """`mem_...` or `dev_...`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("member", "device", **kwargs)


class PermissionBody(OutputSerializer):
    """One thing that may be allowed."""

    name = serializers.CharField()
    meaning = serializers.CharField()
    since = serializers.IntegerField(help_text="The version of the catalogue that it came with.")
    principals = serializers.SerializerMethodField(help_text="Who can use it at all.")

    def get_principals(self, permission: Any) -> list[str]:
        return sorted(permission.kinds)


class PermissionList(OutputSerializer):
    """The catalogue; there are few, so there are no pages."""

    version = serializers.IntegerField()
    data = PermissionBody(many=True)  # type: ignore[assignment]  # the API's word, and a name of DRF's


class RoleBody(OutputSerializer):
    """A role: built in, or the organization's own."""

    id = serializers.CharField(
        source="public_id", allow_null=True, help_text="null: the role is built in, and cannot be changed."
    )
    name = serializers.CharField()
    meaning = serializers.CharField(allow_blank=True)
    permissions = serializers.SerializerMethodField()
    principals = serializers.SerializerMethodField(help_text="Who can be given it.")
    updated_at = serializers.DateTimeField(allow_null=True)

    def get_permissions(self, role: Any) -> list[str]:
        return sorted(role.permissions)

    def get_principals(self, role: Any) -> list[str]:
        return sorted(role.kinds)


class RoleList(OutputSerializer):
    """All roles; there are few, so there are no pages."""

    data = RoleBody(many=True)  # type: ignore[assignment]  # the API's word, and a name of DRF's


_MEANING: dict[str, Any] = {"max_length": 200, "allow_blank": True, "help_text": "For humans."}


def _permissions(**more: Any) -> Any:
    return serializers.ListField(
        child=TextField(max_length=80),
        max_length=200,
        help_text="Names of `GET /v1/permissions`. A role includes no other role.",
        **more,
    )


class CreateRole(StrictSerializer):
    """Make a role of the organization's own."""

    name = TextField(
        max_length=roles.NAME_CHARACTERS_MAX,
        help_text="Lower case: letters, digits, - and _, such as `night-shift`. It never changes.",
    )
    meaning = TextField(required=False, default="", **_MEANING)
    permissions = _permissions()


class UpdateRole(StrictSerializer):
    """Change a role, for everybody who holds it; what is left out stays."""

    meaning = TextField(required=False, **_MEANING)
    permissions = _permissions(required=False)


class CreateGroup(StrictSerializer):
    """Make a group."""

    name = TextField(max_length=groups.NAME_CHARACTERS_MAX)
    kind = serializers.ChoiceField(choices=groups.KINDS, help_text="What it is a group of.")


class UpdateGroup(StrictSerializer):
    """Call a group something else."""

    name = TextField(max_length=groups.NAME_CHARACTERS_MAX)


class GroupBody(OutputSerializer):
    """Members, or devices, that are given roles together."""

    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=groups.KINDS)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class AddToGroup(StrictSerializer):
    """Put somebody into a group."""

    principal = GroupMemberField(help_text="`mem_...` or `dev_...`, as the group's kind says.")


class MembershipBody(OutputSerializer):
    """That somebody is in a group."""

    id = serializers.CharField(source="public_id")
    group = TypeIdField(Group.id_prefix)
    principal = GroupMemberField()
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()


class HoursWindow(StrictSerializer):
    """A part of some days."""

    days = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=7),
        min_length=1,
        max_length=7,
        help_text="Of ISO 8601: Monday is 1.",
    )

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's, so it cannot be declared.
        clock = "Such as `08:30`, on the clock of the site that is asked about."
        return {
            **super().get_fields(),
            "from": TextField(max_length=5, help_text=clock),
            "to": TextField(max_length=5, help_text="Up to `24:00`. Before `from`: on the next day."),
        }


class GrantLimits(StrictSerializer):
    """What bounds a grant beside its place; what is left out does not."""

    amount_max_minor = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=AMOUNT_MAX, help_text="Of one checkout."
    )
    amount_per_day_max_minor = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=AMOUNT_MAX,
        help_text="Of all checkouts of a device until midnight at its site.",
    )
    currency = serializers.RegexField(r"^[A-Z]{3}$", required=False, help_text="ISO 4217, of the amounts.")
    hours = serializers.ListField(child=HoursWindow(), required=False, allow_null=True, max_length=WINDOWS_MAX)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    mfa_max_age_s = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=limiting.MFA_AGE_MIN_S,
        max_value=limiting.MFA_AGE_MAX_S,
        help_text="The second factor was shown at most so long ago.",
    )


class CreateGrant(StrictSerializer):
    """Give somebody a role."""

    principal = GranteeField(help_text="`mem_...`, `app_...`, `dev_...` or `grp_...`")
    role = TextField(max_length=40, help_text=ROLE_HELP)
    scope = serializers.ChoiceField(
        choices=[one.value for one in rules.Scope],
        default=rules.Scope.ORGANIZATION.value,
        help_text="Over the organization, a site with everything under it, or one device.",
    )
    site_id = TypeIdField("site", required=False, help_text="With the scope `site`.")
    device_id = TypeIdField("dev", required=False, help_text="With the scope `device`.")
    limits = GrantLimits(required=False)


class LimitsBody(OutputSerializer):
    """What bounds a grant beside its place."""

    amount_max_minor = serializers.IntegerField(allow_null=True)
    amount_per_day_max_minor = serializers.IntegerField(allow_null=True)
    currency = serializers.CharField(allow_blank=True)
    hours = serializers.ListField(child=HoursWindow(), allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    mfa_max_age_s = serializers.IntegerField(allow_null=True)


class GrantBody(OutputSerializer):
    """A role of a principal or a group, over a part of the organization, within limits."""

    id = serializers.CharField(source="public_id")
    principal = GranteeField()
    role = serializers.CharField()
    scope = serializers.ChoiceField(choices=[one.value for one in rules.Scope])
    site_id = TypeIdField("site", allow_null=True)
    device_id = TypeIdField("dev", allow_null=True)
    limits = LimitsBody(source="*")
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()


class GrantFilter(StrictSerializer):
    """Which grants."""

    principal = GranteeField(required=False, help_text="Those of one member, app, device or group.")
    role = TextField(max_length=40, required=False, help_text="Those of one role.")
    site_id = TypeIdField("site", required=False, help_text="Those over exactly this site.")
