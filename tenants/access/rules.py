"""The decision, as a pure function of grants; and what may be granted by whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from engine.principals import Principal
from tenants.access.permissions import IMPERSONATION_ROLES, PERMISSIONS, ROLES, Role
from tenants.sites.rules import Location, Reach, lies_within


class Scope(StrEnum):
    """Over what a grant reaches."""

    ORGANIZATION = "organization"
    SITE = "site"
    DEVICE = "device"


class Reason(StrEnum):
    """Why a decision is what it is. Part of the API: never renamed."""

    GRANTED = "granted"
    NO_GRANT = "no_grant"
    OUT_OF_SCOPE = "out_of_scope"
    TOKEN_SCOPE = "token_scope"  # noqa: S105 - not a password
    WRONG_KIND = "wrong_kind"
    UNKNOWN_PERMISSION = "unknown_permission"


class Somewhere:
    """Asks whether a permission is held anywhere at all, over however little."""


SOMEWHERE: Final = Somewhere()
EVERYWHERE: Final = Location()


@dataclass(frozen=True, slots=True)
class HeldGrant:
    """A grant as the decision sees it. `site_path` is set for a site's subtree, `device_id` for a device."""

    id: UUID
    role: str
    scope: Scope
    site_path: str | None = None
    device_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to "may this principal do that there?".

    `grant_id` names the grant that allows it. `missing` names the permission that is lacking.
    """

    allowed: bool
    reason: Reason
    grant_id: UUID | None = None
    missing: str | None = None


def decide(
    *,
    principal: Principal,
    permission: str,
    grants: Iterable[HeldGrant],
    where: Location | Somewhere,
) -> Decision:
    """Default is no. `grants` are the principal's own."""
    known = PERMISSIONS.get(permission)
    if known is None:
        return Decision(False, Reason.UNKNOWN_PERMISSION, missing=permission)
    if principal.kind not in known.kinds:
        return Decision(False, Reason.WRONG_KIND, missing=permission)
    if principal.scopes is not None and permission not in principal.scopes:
        return Decision(False, Reason.TOKEN_SCOPE, missing=permission)
    holding = [grant for grant in grants if _allows(grant, permission)]
    for grant in holding:
        if covers(grant, where):
            return Decision(True, Reason.GRANTED, grant_id=grant.id)
    reason = Reason.OUT_OF_SCOPE if holding else Reason.NO_GRANT
    return Decision(False, reason, missing=permission)


def decide_for_operator(*, principal: Principal, permission: str) -> Decision:
    """As `decide`, for an operator of the platform, who holds no grants: the token's scopes are all there is."""
    if permission not in PERMISSIONS:
        return Decision(False, Reason.UNKNOWN_PERMISSION, missing=permission)
    if not any(permission in allowed for allowed in IMPERSONATION_ROLES.values()):
        return Decision(False, Reason.WRONG_KIND, missing=permission)
    if permission not in (principal.scopes or ()):
        return Decision(False, Reason.TOKEN_SCOPE, missing=permission)
    return Decision(True, Reason.GRANTED)


def reach(*, principal: Principal, permission: str, grants: Sequence[HeldGrant]) -> Reach:
    """Everything that `decide` would allow, as a filter. Nothing when it would never allow."""
    allowed = decide(principal=principal, permission=permission, grants=grants, where=SOMEWHERE).allowed
    holding = [grant for grant in grants if allowed and _allows(grant, permission)]
    return Reach(
        everywhere=any(grant.scope is Scope.ORGANIZATION for grant in holding),
        site_paths=tuple(grant.site_path for grant in holding if grant.site_path is not None),
        device_ids=tuple(grant.device_id for grant in holding if grant.device_id is not None),
    )


def covers(grant: HeldGrant, where: Location | Somewhere) -> bool:
    """Whether the grant reaches over the place."""
    if isinstance(where, Somewhere) or grant.scope is Scope.ORGANIZATION:
        return True
    if grant.scope is Scope.SITE:
        return (
            where.site_path is not None
            and grant.site_path is not None
            and lies_within(where.site_path, grant.site_path)
        )
    return where.device_id is not None and where.device_id == grant.device_id


def lacking_to_hand_out(
    *, giver: Principal, role: Role, grants: Sequence[HeldGrant], where: Location
) -> frozenset[str]:
    """The permissions of `role` that `giver` does not hold over `where`: nobody grants more than that.

    What only devices can use is handed out by whoever holds the permission that stands for it.
    """
    return frozenset(
        name
        for name in role.permissions
        if not decide(
            principal=giver,
            permission=PERMISSIONS[name].handed_out_with or name,
            grants=grants,
            where=where,
        ).allowed
    )


def held_permissions(grants: Iterable[HeldGrant]) -> frozenset[str]:
    """Everything that the grants allow somewhere."""
    return frozenset().union(*(ROLES[grant.role].permissions for grant in grants if grant.role in ROLES))


def _allows(grant: HeldGrant, permission: str) -> bool:
    role = ROLES.get(grant.role)
    return role is not None and permission in role.permissions
