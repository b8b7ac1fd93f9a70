"""Grants: who gives and takes them, and what nobody may."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from engine import ids
from engine.clock import Clock, utc_now
from engine.errors import Conflict, DomainError, InvalidInput, NotFound
from engine.principals import SYSTEM, Principal
from shared.accounts import selectors as accounts
from tenants.access import limiting, rules, selectors, snapshot
from tenants.access.deciding import Facts
from tenants.access.models import GROUP, Grant, Grantee
from tenants.access.permissions import OWNER
from tenants.access.selectors import RoleView
from tenants.audit import services as audit
from tenants.sites import selectors as sites
from tenants.sites.rules import Location, paths_above


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


class GrantExists(Conflict):
    """The role is given there already, within other limits. Take it away first."""

    code = "grant_exists"
    title = "The role is given there already, within other limits"


def grant_role(
    *,
    principal: Principal | Grantee,
    role: str,
    scope: str = rules.Scope.ORGANIZATION,
    site_id: UUID | None = None,
    device_id: UUID | None = None,
    limits: Mapping[str, Any] | None = None,
    by: Principal = SYSTEM,
    clock: Clock = utc_now,
) -> Grant:
    """Give a principal, or a group, a role over the organization, a site's subtree or one device.

    Giving it twice gives the same grant; one that has expired makes room. The platform itself (`SYSTEM`)
    may give any role, everybody else at most what they hold there. Raises UnknownRole, InvalidInput
    (scope, site_id, device_id, limits), CannotGrantMore, GrantExists.
    """
    now = clock()
    with transaction.atomic():
        bump_policy_revision()
        chosen = _role(role, principal)
        columns = limiting.columns(
            limits=limits or {},
            role=role,
            permissions=chosen.permissions,
            kind=selectors.kind_within(principal),
            now=now,
        )
        where, site = _target(scope=scope, site_id=site_id, device_id=device_id)
        grant = Grant(
            principal_kind=principal.kind,
            principal_id=principal.id,
            role=role,
            scope=scope,
            site=site,
            device_id=device_id,
            created_by=by.public_id,
            created_at=now,
            **columns,
        )
        require_mastery(giver=by, permissions=chosen.permissions, limits=grant.limits, where=where, what=role)
        same = _same(grant)
        if same is not None:
            if same.expires_at is None or same.expires_at > now:
                if limiting.as_told(same) != limiting.as_told(grant):
                    raise GrantExists(field="limits")
                return same
            delete_grant(same, by=by)
        grant.save(force_insert=True)
        audit.write(action="grant.created", actor=by, resource=grant.public_id, detail=described(grant), clock=clock)
    return grant


def revoke_grant(*, grant_id: UUID, by: Principal) -> None:
    """Take a role away; it is gone from the next decision on.

    Raises NotFound, CannotGrantMore, LastOwner.
    """
    with transaction.atomic():
        bump_policy_revision()
        grant = selectors.grants().filter(id=grant_id).first()
        if grant is None:
            raise NotFound
        require_mastery_over(giver=by, grants=[grant])
        delete_grant(grant, by=by)
        if grant.role == OWNER:
            require_an_owner()


def delete_grant(grant: Grant, *, by: Principal) -> None:
    """Delete one grant with its audit entry. The caller holds the policy's lock."""
    audit.write(action="grant.deleted", actor=by, resource=grant.public_id, detail=described(grant))
    grant.delete()


def require_mastery(
    *,
    giver: Principal,
    permissions: Iterable[str],
    where: Location,
    limits: rules.Limits = rules.NO_LIMITS,
    what: str,
    clock: Clock = utc_now,
) -> None:
    """Raises CannotGrantMore unless `giver` holds all of it over `where`, as widely, or is the platform."""
    if giver.kind == "system":
        return
    lacking = rules.lacking_to_hand_out(
        giver=giver,
        permissions=permissions,
        limits=limits,
        where=where,
        holdings=snapshot.holdings_of(giver),
        circumstances=rules.Circumstances(at=clock()),
        facts=Facts(),
    )
    if lacking:
        raise CannotGrantMore(
            f"The role {what} needs permissions that you do not hold there, or not as widely.",
            missing=sorted(lacking),
        )


def require_mastery_of(*, giver: Principal, subject: Principal) -> None:
    """Raises CannotGrantMore unless `giver` holds everything that `subject` was given, by groups too.

    Whoever can take an account over, by a new secret or a new invitation, has what the account has.
    """
    for grant in snapshot.holdings_of(subject):
        require_mastery(
            giver=giver, permissions=grant.permissions, limits=grant.limits, where=grant.place, what=grant.role
        )


def require_mastery_over(*, giver: Principal, grants: Iterable[Grant], where: Location | None = None) -> None:
    """Raises CannotGrantMore unless `giver` could give each of the grants, or could give it over `where`."""
    for grant in grants:
        found = selectors.role_named(grant.role)
        require_mastery(
            giver=giver,
            permissions=found.permissions if found else (),
            limits=grant.limits,
            where=where or grant.location,
            what=grant.role,
        )


def allow_move(*, path: str, new_parent_path: str, by: Principal) -> None:
    """A site is about to move: whoever holds something over its new surroundings gets it over the site.

    So that is a grant, and needs what a grant needs. Raises CannotGrantMore.
    """
    bump_policy_revision()
    gained = set(paths_above(new_parent_path)) - set(paths_above(path))
    if gained:
        reaching = selectors.grants().filter(site__path__in=gained)
        require_mastery_over(giver=by, grants=reaching, where=Location(site_path=path))


def require_an_owner() -> None:
    """Raises LastOwner when no active member holds the owner's role. Call under the policy's lock.

    Constraints hold the rest: an owner's grant has no limits, and is a member's own and not a group's.
    """
    owners = Grant.objects.filter(principal_kind="member", role=OWNER, scope=rules.Scope.ORGANIZATION)
    if not accounts.has_active_user(user_ids=owners.values_list("principal_id", flat=True)):
        raise LastOwner("Make somebody else an owner first.")


def bump_policy_revision() -> int:
    """Count a change of the policy; until the transaction ends nobody else can change it.

    Decisions that are kept are good for a token, which is another one with each change.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO access_policyrevision (id, revision, token) VALUES (1, 1, gen_random_uuid())"
            " ON CONFLICT (id) DO UPDATE"
            " SET revision = access_policyrevision.revision + 1, token = excluded.token"
            " RETURNING revision"
        )
        row = cursor.fetchone()
    revision: int = row[0]
    return revision


def find_device(device_id: UUID, *, field: str) -> Location:
    """Where the device stands. Raises InvalidInput (`field`) when there is no such device."""
    found = selectors.device_locations([device_id]).get(device_id)
    if found is None:
        raise InvalidInput("No device has this id.", field=field)
    return found


def described(grant: Grant) -> dict[str, Any]:
    """The grant as the audit log tells of it: enough to know what it was. Needs `site` loaded."""
    told: dict[str, Any] = {"principal": grant.principal.public_id, "role": grant.role, "scope": grant.scope}
    if grant.site is not None:
        told["site"] = grant.site.public_id
    if grant.device_id is not None:
        told["device"] = ids.encode("dev", grant.device_id)
    limits = limiting.as_told(grant)
    return told | ({"limits": limits} if limits else {})


def _same(grant: Grant) -> Grant | None:
    return (
        selectors.grants()
        .filter(
            principal_kind=grant.principal_kind,
            principal_id=grant.principal_id,
            role=grant.role,
            scope=grant.scope,
            site=grant.site,
            device_id=grant.device_id,
        )
        .first()
    )


def _role(name: str, principal: Principal | Grantee) -> RoleView:
    role = selectors.role_named(name)
    if role is None:
        raise UnknownRole("There is no such role, see GET /v1/roles.", field="role")
    if principal.kind == GROUP and name == OWNER:
        raise UnknownRole("An owner is a member by name: a group could be emptied.", field="role")
    kind = selectors.kind_within(principal)
    if kind not in role.kinds:
        raise UnknownRole(f"The role {name} is not for a {kind}.", field="role")
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
