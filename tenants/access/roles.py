"""Roles of the organization's own: flat sets of permissions (docs/adr/0082-roles-include-no-roles.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from uuid import UUID

from django.db import transaction

from engine.clock import Clock, utc_now
from engine.errors import Conflict, InvalidInput, NotFound
from engine.permissions import PERMISSIONS
from engine.principals import Principal
from tenants.access import policy, rules, selectors
from tenants.access.models import Grant, Role
from tenants.access.permissions import ROLES
from tenants.access.selectors import RoleView
from tenants.audit import services as audit

NAME_CHARACTERS_MAX = 40
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


class RoleNameTaken(Conflict):
    """Another role has the name."""

    code = "role_name_taken"
    title = "The name is taken"


class RoleInUse(Conflict):
    """Somebody was given the role."""

    code = "role_in_use"
    title = "Somebody holds this role"


class UnknownPermission(InvalidInput):
    """There is no such permission."""

    code = "unknown_permission"
    title = "Unknown permission"


def create_role(
    *, name: str, permissions: Iterable[str], by: Principal, meaning: str = "", clock: Clock = utc_now
) -> RoleView:
    """Make a role. Raises InvalidInput (name, permissions), UnknownPermission, RoleNameTaken, CannotGrantMore."""
    if len(name) > NAME_CHARACTERS_MAX or not _NAME.fullmatch(name):
        raise InvalidInput("A name is lower case: letters, digits, - and _, such as night-shift.", field="name")
    wanted = _checked(permissions)
    now = clock()
    with transaction.atomic():
        policy.bump_policy_revision()
        if name in ROLES or Role.objects.filter(name=name).exists():
            raise RoleNameTaken("Choose another one.", field="name")
        policy.require_mastery(giver=by, permissions=wanted, where=rules.EVERYWHERE, what=name)
        row = Role.objects.create(name=name, meaning=meaning, permissions=wanted, created_at=now, updated_at=now)
        audit.write(action="role.created", actor=by, resource=row.public_id, detail=_described(row), clock=clock)
    return selectors.as_role(row)


def update_role(
    *,
    role_id: UUID,
    by: Principal,
    meaning: str | None = None,
    permissions: Iterable[str] | None = None,
    guard: Callable[[RoleView], None] | None = None,
    clock: Clock = utc_now,
) -> RoleView:
    """Change what a role allows, for everybody who holds it, from the next decision on. The name stays.

    Whoever changes it holds all that it allowed and will allow. `guard` sees the row before anything
    changes. Raises NotFound, InvalidInput (permissions), UnknownPermission, CannotGrantMore, RoleInUse.
    """
    with transaction.atomic():
        policy.bump_policy_revision()
        row = _locked(role_id)
        if guard is not None:
            guard(selectors.as_role(row))
        before = _described(row)
        if permissions is not None:
            wanted = _checked(permissions)
            policy.require_mastery(
                giver=by, permissions={*row.permissions, *wanted}, where=rules.EVERYWHERE, what=row.name
            )
            _check_holders(row, wanted)
            row.permissions = wanted
        if meaning is not None:
            row.meaning = meaning
        after = _described(row)
        if after != before:
            row.updated_at = clock()
            row.save(update_fields=["meaning", "permissions", "updated_at"])
            detail = {"before": before, "after": after}
            audit.write(action="role.updated", actor=by, resource=row.public_id, detail=detail, clock=clock)
    return selectors.as_role(row)


def delete_role(*, role_id: UUID, by: Principal) -> None:
    """Forget a role that nobody holds. Raises NotFound, RoleInUse, CannotGrantMore."""
    with transaction.atomic():
        policy.bump_policy_revision()
        row = _locked(role_id)
        if Grant.objects.filter(role=row.name).exists():
            raise RoleInUse("Take it away from everybody first.")
        policy.require_mastery(giver=by, permissions=row.permissions, where=rules.EVERYWHERE, what=row.name)
        audit.write(action="role.deleted", actor=by, resource=row.public_id, detail=_described(row))
        row.delete()


def _checked(permissions: Iterable[str]) -> list[str]:
    wanted = sorted(set(permissions))
    for name in wanted:
        if name in ROLES or Role.objects.filter(name=name).exists():
            raise UnknownPermission(f"{name} is a role; a role includes no other.", field="permissions")
        if name not in PERMISSIONS:
            raise UnknownPermission(f"There is no permission {name}, see GET /v1/permissions.", field="permissions")
    if not wanted:
        raise InvalidInput("A role allows something.", field="permissions")
    if not selectors.kinds_of(wanted):
        raise InvalidInput("No principal can use all of these: some are for devices only.", field="permissions")
    return wanted


def _check_holders(row: Role, wanted: list[str]) -> None:
    """What was given stays within who can be given it, and within the limits that it was given with."""
    holders = Grant.objects.filter(role=row.name)
    if selectors.kinds_of(wanted) != selectors.kinds_of(row.permissions) and holders.exists():
        raise RoleInUse("Those who hold it could not use these permissions.", field="permissions")
    is_measured = any(PERMISSIONS[name].is_measured for name in wanted)
    if not is_measured and holders.exclude(currency="").exists():
        raise RoleInUse("It is held with amounts that nothing would bound any more.", field="permissions")


def _described(row: Role) -> dict[str, object]:
    return {"name": row.name, "meaning": row.meaning, "permissions": list(row.permissions)}


def _locked(role_id: UUID) -> Role:
    row = Role.objects.select_for_update().filter(id=role_id).first()
    if row is None:
        raise NotFound
    return row
