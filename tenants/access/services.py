"""What other apps call: decisions, grants, members, apps, what members let apps do, and signing keys.

`deciding`, `policy`, `roles`, `groups`, `spending`, `members`, `clients`, `authorizations` and `signing` say how.
"""

from __future__ import annotations

from tenants.access.authorizations import revoke_all as revoke_all_authorizations
from tenants.access.authorizations import revoke_own as revoke_own_authorization
from tenants.access.carrying import follow_move, require_hand_out, still_hands_out, still_holds, still_masters
from tenants.access.clients import create_app, deactivate_app, rotate_secret, update_app
from tenants.access.deciding import check, reach, visible_to
from tenants.access.groups import add_to_group, create_group, delete_group, remove_from_group, rename_group
from tenants.access.impersonation import sign_impersonation_token
from tenants.access.members import (
    deactivate_member,
    ensure_owner,
    invite_member,
    renew_invitation,
)
from tenants.access.policy import grant_role, require_mastery_of, revoke_grant
from tenants.access.roles import create_role, delete_role, update_role
from tenants.access.selectors import register_device_lookup
from tenants.access.signing import create_signing_key, ensure_signing_key, rotate_signing_key
from tenants.access.spending import give_back, spend

__all__ = [
    "add_to_group",
    "check",
    "create_app",
    "create_group",
    "create_role",
    "create_signing_key",
    "deactivate_app",
    "deactivate_member",
    "delete_group",
    "delete_role",
    "ensure_owner",
    "ensure_signing_key",
    "follow_move",
    "give_back",
    "grant_role",
    "invite_member",
    "reach",
    "register_device_lookup",
    "remove_from_group",
    "rename_group",
    "renew_invitation",
    "require_hand_out",
    "require_mastery_of",
    "revoke_all_authorizations",
    "revoke_grant",
    "revoke_own_authorization",
    "rotate_secret",
    "rotate_signing_key",
    "sign_impersonation_token",
    "spend",
    "still_hands_out",
    "still_holds",
    "still_masters",
    "update_app",
    "update_role",
    "visible_to",
]
