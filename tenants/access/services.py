"""What other apps call: decisions, grants, members, apps and signing keys.

`policy`, `members`, `clients` and `signing` say how.
"""

from __future__ import annotations

from tenants.access.clients import create_app, deactivate_app, rotate_secret
from tenants.access.impersonation import sign_impersonation_token
from tenants.access.members import (
    deactivate_member,
    ensure_owner,
    invite_member,
    renew_invitation,
)
from tenants.access.policy import (
    check,
    grant_role,
    reach,
    register_device_lookup,
    revoke_grant,
)
from tenants.access.signing import create_signing_key, ensure_signing_key, rotate_signing_key

__all__ = [
    "check",
    "create_app",
    "create_signing_key",
    "deactivate_app",
    "deactivate_member",
    "ensure_owner",
    "ensure_signing_key",
    "grant_role",
    "invite_member",
    "reach",
    "register_device_lookup",
    "renew_invitation",
    "revoke_grant",
    "rotate_secret",
    "rotate_signing_key",
    "sign_impersonation_token",
]
