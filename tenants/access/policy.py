"""Decisions and grants: who may do what, who gives and takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from engine.api.access import SOMEWHERE
from engine.errors import Conflict, DomainError, InvalidInput, NotFound
from engine.principals import SYSTEM, Principal
from shared.accounts import selectors as accounts
from tenants.access import rules, selectors
from tenants.access.models import Grant
from tenants.access.permissions import OWNER, ROLES, Role
from tenants.audit import services as audit
from tenants.sites import selectors as sites
from tenants.sites.rules import Location, Reach


class UnknownRole(InvalidInput):
    """No role has that name, or principals of that kind cannot be given it."""

    code = "unknown_role"
    title = "Unknown role"


class CannotGrantMore(DomainError):
    """Nobody gives, takes or takes over more than they hold themselves; `missing` lists what lacks."""

    code = "cannot_grant_more"
    status = 403
    title = "You do not hold everything that this would give"


class LastOwner(Conflict):
    """An organization without an active owner would be locked out of itself."""

    code = "last_owner"
    title = "The last owner cannot be removed"


_device_lookup: Callable[[UUID], Location | None] | None = None


def register_device_lookup(lookup: Callable[[UUID], Location | None]) -> None:
    """Tell how to find where a device stands (None: no such device).

    Devices lie above access in the order of apps, so their app hands this in when it starts.
    """
    global _device_lookup
    _device_lookup = lookup


def check(*, principal: Principal, permission: str, resource: Any = None) -> rules.Decision:
    """May `principal` do `permission` there? Default is no. One query, whatever there is.

    `resource` is anything with a `location` (tenants.sites.rules.Location). None, or a resource
    without one, asks about the organization as a whole; `SOMEWHERE` asks whether it is held at all.
    """
    if principal.kind == "operator":
        return rules.decide_for_operator(principal=principal, permission=permission)
    return rules.decide(
        principal=principal,
        permission=permission,
        grants=selectors.grants_of(principal),
        where=_where(resource),
    )


def reach(*, principal: Principal, permission: str) -> Reach:
    """Over what `principal` holds `permission`, to filter a list by. One query."""
    if principal.kind == "operator":
        return Reach(everywhere=rules.decide_for_operator(principal=principal, permission=permission).allowed)
    return rules.reach(principal=principal, permission=permission, grants=selectors.grants_of(principal))


def grant_role(
    *,
    principal: Principal,
    role: str,
    scope: str = rules.Scope.ORGANIZATION,
    site_id: UUID | None = None,
    device_id: UUID | None = None,
    by: Principal = SYSTEM,
) -> Grant:
    """Give `principal` a role over the organization, a site's subtree or one device.

    Giving it twice gives the same grant. The platform itself (`SYSTEM`) may give any role, everybody
    else at most what they hold there. Raises UnknownRole, InvalidInput (scope, site_id, device_id),
    CannotGrantMore.
    """
    chosen = _role(role, principal)
    with transaction.atomic():
        bump_policy_revision()
        where, site = _target(scope=scope, site_id=site_id, device_id=device_id)
        require_mastery(giver=by, role=chosen, where=where)
        grant, is_new = Grant.objects.select_related("site").get_or_create(
            principal_kind=principal.kind,
            principal_id=principal.id,
            role=role,
            scope=scope,
            site=site,
            device_id=device_id,
            defaults={"created_by": by.public_id},
        )
        if is_new:
            audit.write(
                action="grant.created",
                actor=by,
                resource=grant.public_id,
                detail=_described(grant),
            )
    return grant


def revoke_grant(*, grant_id: UUID, by: Principal) -> None:
    """Take a role away; it is gone from the next request on.

    Raises NotFound, CannotGrantMore, LastOwner.
    """
    with transaction.atomic():
        bump_policy_revision()
        grant = selectors.grants().filter(id=grant_id).first()
        if grant is None:
            raise NotFound
        require_mastery(giver=by, role=ROLES[grant.role], where=grant.location)
        delete_grant(grant, by=by)
        if grant.role == OWNER:
            require_an_owner()


def delete_grant(grant: Grant, *, by: Principal) -> None:
    """Delete one grant with its audit entry. The caller holds the policy's lock."""
    audit.write(action="grant.deleted", actor=by, resource=grant.public_id, detail=_described(grant))
    grant.delete()


def require_mastery(*, giver: Principal, role: Role, where: Location) -> None:
    """Raises CannotGrantMore unless `giver` holds all of `role` over `where`, or is the platform."""
    if giver.kind == "system":
        return
    lacking = rules.lacking_to_hand_out(giver=giver, role=role, grants=selectors.grants_of(giver), where=where)
    if lacking:
        raise CannotGrantMore(
            f"The role {role.name} needs permissions that you do not hold there.",
            missing=sorted(lacking),
        )


def require_mastery_of(*, giver: Principal, subject: Principal) -> None:
    """Raises CannotGrantMore unless `giver` holds everything that `subject` was given.

    Whoever can take an account over, by a new secret or a new invitation, has what the account has.
    """
    for grant in selectors.grants_of(subject):
        where = Location(site_path=grant.site_path, device_id=grant.device_id)
        require_mastery(giver=giver, role=ROLES[grant.role], where=where)


def require_an_owner() -> None:
    """Raises LastOwner when no active member holds the owner's role. Call under the policy's lock."""
    owners = Grant.objects.filter(principal_kind="member", role=OWNER, scope=rules.Scope.ORGANIZATION)
    if not accounts.has_active_user(user_ids=owners.values_list("principal_id", flat=True)):
        raise LastOwner("Make somebody else an owner first.")


def bump_policy_revision() -> int:
    """Count a change of the policy; until the transaction ends nobody else can change it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO access_policyrevision (id, revision) VALUES (1, 1)"
            " ON CONFLICT (id) DO UPDATE SET revision = access_policyrevision.revision + 1"
            " RETURNING revision"
        )
        row = cursor.fetchone()
    revision: int = row[0]
    return revision


def _where(resource: Any) -> Location | rules.Somewhere:
    if resource is SOMEWHERE:
        return rules.SOMEWHERE
    location = getattr(resource, "location", None)
    return location if isinstance(location, Location) else rules.EVERYWHERE


def _role(name: str, principal: Principal) -> Role:
    role = ROLES.get(name)
    if role is None:
        raise UnknownRole(f"Choose one of: {', '.join(sorted(ROLES))}.", field="role")
    if principal.kind not in role.kinds:
        raise UnknownRole(f"The role {name} is not for a {principal.kind}.", field="role")
    return role


def _target(*, scope: str, site_id: UUID | None, device_id: UUID | None) -> tuple[Location, Any]:
    """What a grant is over, as a place, and the site when it is one."""
    if scope not in tuple(rules.Scope):
        raise InvalidInput(f"Choose one of: {', '.join(rules.Scope)}.", field="scope")
    if (site_id is not None) != (scope == rules.Scope.SITE):
        raise InvalidInput("A site belongs to the scope site, and only to it.", field="site_id")
    if (device_id is not None) != (scope == rules.Scope.DEVICE):
        raise InvalidInput("A device belongs to the scope device, and only to it.", field="device_id")
    if site_id is not None:
        try:
            site = sites.site(site_id=site_id)
        except NotFound as error:
            raise InvalidInput("No site has this id.", field="site_id") from error
        return site.location, site
    if device_id is not None:
        return find_device(device_id, field="device_id"), None
    return rules.EVERYWHERE, None


def find_device(device_id: UUID, *, field: str) -> Location:
    """Where the device stands. Raises InvalidInput (`field`) when there is no such device."""
    found = _device_lookup(device_id) if _device_lookup else None
    if found is None:
        raise InvalidInput("No device has this id.", field=field)
    return found


def _described(grant: Grant) -> dict[str, str]:
    described = {
        "principal": grant.principal.public_id,
        "role": grant.role,
        "scope": grant.scope,
    }
    if grant.site is not None:
        described["site"] = grant.site.public_id
    if grant.device_id is not None:
        described["device"] = str(grant.device_id)
    return described
