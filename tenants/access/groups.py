"""Groups: members, or devices, that are given roles together."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from engine.clock import Clock, utc_now
from engine.errors import Conflict, InvalidInput, NotFound
from engine.principals import Principal
from tenants.access import policy, selectors
from tenants.access.models import GROUP, Grant, Group, GroupMembership
from tenants.audit import services as audit

KINDS = ("member", "device")
NAME_CHARACTERS_MAX = 120


class GroupNameTaken(Conflict):
    """Another group has the name, in any case."""

    code = "group_name_taken"
    title = "The name is taken"


class GroupInUse(Conflict):
    """The group was given roles."""

    code = "group_in_use"
    title = "The group holds roles"


def create_group(*, name: str, kind: str, by: Principal, clock: Clock = utc_now) -> Group:
    """Make an empty group. Raises InvalidInput (name, kind), GroupNameTaken."""
    if kind not in KINDS:
        raise InvalidInput(f"Choose one of: {', '.join(KINDS)}.", field="kind")
    now = clock()
    with transaction.atomic():
        policy.bump_policy_revision()
        chosen = _free_name(name)
        row = Group.objects.create(name=chosen, kind=kind, created_at=now, updated_at=now)
        detail = {"name": row.name, "kind": row.kind}
        audit.write(action="group.created", actor=by, resource=row.public_id, detail=detail, clock=clock)
    return row


def rename_group(
    *,
    group_id: UUID,
    name: str,
    by: Principal,
    guard: Callable[[Group], None] | None = None,
    clock: Clock = utc_now,
) -> Group:
    """Call it something else. Raises NotFound, InvalidInput (name), GroupNameTaken."""
    with transaction.atomic():
        policy.bump_policy_revision()
        row = _locked(group_id)
        if guard is not None:
            guard(row)
        before, row.name = row.name, _free_name(name, but=row)
        if row.name != before:
            row.updated_at = clock()
            row.save(update_fields=["name", "updated_at"])
            detail = {"before": {"name": before}, "after": {"name": row.name}}
            audit.write(action="group.updated", actor=by, resource=row.public_id, detail=detail, clock=clock)
    return row


def delete_group(*, group_id: UUID, by: Principal) -> None:
    """Forget a group that holds no roles, and who was in it. Raises NotFound, GroupInUse."""
    with transaction.atomic():
        policy.bump_policy_revision()
        row = _locked(group_id)
        if grants_of(row).exists():
            raise GroupInUse("Take its roles away first.")
        for membership in selectors.memberships(group_id=row.id):
            _remove(membership, by=by)
        audit.write(
            action="group.deleted", actor=by, resource=row.public_id, detail={"name": row.name, "kind": row.kind}
        )
        row.delete()


def add_to_group(*, group_id: UUID, principal: Principal, by: Principal, clock: Clock = utc_now) -> GroupMembership:
    """Put somebody in, who holds what the group holds from then on. Doing it again changes nothing.

    Raises NotFound, InvalidInput (principal), CannotGrantMore.
    """
    with transaction.atomic():
        policy.bump_policy_revision()
        row = _locked(group_id)
        if principal.kind != row.kind:
            raise InvalidInput(f"This is a group of {row.kind}s.", field="principal")
        policy.require_mastery_over(giver=by, grants=grants_of(row))
        membership, is_new = GroupMembership.objects.get_or_create(
            group=row,
            principal_id=principal.id,
            defaults={"created_by": by.public_id, "created_at": clock()},
        )
        if is_new:
            _tell(membership, "group.member_added", by=by)
    return membership


def remove_from_group(*, group_id: UUID, membership_id: UUID, by: Principal) -> None:
    """Take somebody out. Raises NotFound, CannotGrantMore."""
    with transaction.atomic():
        policy.bump_policy_revision()
        row = _locked(group_id)
        membership = selectors.memberships(group_id=row.id).filter(id=membership_id).first()
        if membership is None:
            raise NotFound
        policy.require_mastery_over(giver=by, grants=grants_of(row))
        _remove(membership, by=by)


def leave_all(*, principal: Principal, by: Principal) -> None:
    """Take somebody out of every group. The caller holds the policy's lock and has asked whether `by` may."""
    for membership in GroupMembership.objects.select_related("group").filter(principal_id=principal.id):
        _remove(membership, by=by)


def grants_of(group: Group) -> QuerySet[Grant]:
    """What a group holds."""
    return selectors.grants().filter(principal_kind=GROUP, principal_id=group.id)


def _remove(membership: GroupMembership, *, by: Principal) -> None:
    _tell(membership, "group.member_removed", by=by)
    membership.delete()


def _tell(membership: GroupMembership, action: str, *, by: Principal) -> None:
    detail = {"principal": membership.principal.public_id, "membership": membership.public_id}
    audit.write(action=action, actor=by, resource=membership.group.public_id, detail=detail)


def _free_name(name: str, *, but: Group | None = None) -> str:
    """Under the policy's lock, so nobody else takes it meanwhile."""
    name = name.strip()
    if not 0 < len(name) <= NAME_CHARACTERS_MAX:
        raise InvalidInput(f"A name has 1 to {NAME_CHARACTERS_MAX} characters.", field="name")
    others = Group.objects.filter(name__iexact=name)
    if but is not None:
        others = others.exclude(id=but.id)
    if others.exists():
        raise GroupNameTaken("Choose another one.", field="name")
    return name


def _locked(group_id: UUID) -> Group:
    row = Group.objects.select_for_update().filter(id=group_id).first()
    if row is None:
        raise NotFound
    return row
