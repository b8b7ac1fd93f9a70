"""Members: the humans of the organization, with their roles."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from engine.clock import Clock, utc_now
from engine.errors import InvalidInput
from engine.principals import SYSTEM, Principal
from shared.accounts import selectors as accounts_read
from shared.accounts import services as accounts
from tenants.access import authorizations, groups, policy
from tenants.access.models import Grant
from tenants.access.permissions import OWNER
from tenants.audit import services as audit


@dataclass(frozen=True, slots=True)
class Invited:
    """An invited member and the invitation's token, which is shown this once."""

    member: accounts_read.User
    token: str


def invite_member(
    *,
    email: str,
    by: Principal,
    role: str | None = None,
    display_name: str = "",
    clock: Clock = utc_now,
) -> Invited:
    """Invite a person, with a role over the whole organization if one is named.

    Somebody who has not accepted yet gets a new token, and the old one dies.
    Raises InvalidInput (field email), MemberExists, UnknownRole, CannotGrantMore.
    """
    with transaction.atomic():
        member, token = accounts.invite(email=email, display_name=display_name, clock=clock)
        # Whoever holds the token becomes that member, with every role that is waiting for them.
        policy.require_mastery_of(giver=by, subject=member.principal)
        if role is not None:
            policy.grant_role(principal=member.principal, role=role, by=by)
        audit.write(action="member.invited", actor=by, resource=member.public_id)
    return Invited(member=member, token=token)


def deactivate_member(*, member_id: UUID, by: Principal, clock: Clock = utc_now) -> accounts_read.User:
    """Close a member's account, end their sessions and take every role away.

    Raises NotFound, CannotGrantMore (the member holds more than `by`), LastOwner.
    """
    with transaction.atomic():
        policy.bump_policy_revision()
        member = accounts_read.user(user_id=member_id)
        policy.require_mastery_of(giver=by, subject=member.principal)
        grants = list(Grant.objects.select_related("site").filter(principal_kind="member", principal_id=member.id))
        for grant in grants:
            policy.delete_grant(grant, by=by)
        groups.leave_all(principal=member.principal, by=by)
        accounts.deactivate(user=member, clock=clock)
        authorizations.revoke_of_member(member_id=member.id, by=by, reason="deactivated", clock=clock)
        if any(grant.role == OWNER for grant in grants):
            policy.require_an_owner()
        audit.write(action="member.deactivated", actor=by, resource=member.public_id)
    return member


def ensure_owner(*, email: str, clock: Clock = utc_now) -> accounts_read.User:
    """The first member, invited and an owner. Provisioning's step: doing it again changes nothing.

    The token of this invitation is not kept; `renew_invitation` makes one to hand over.
    """
    with transaction.atomic():
        member = accounts_read.user_by_email(email=email)
        if member is None:
            member = accounts.invite(email=email, clock=clock)[0]
            audit.write(action="member.invited", actor=SYSTEM, resource=member.public_id)
        policy.grant_role(principal=member.principal, role=OWNER)
    return member


def renew_invitation(*, email: str, clock: Clock = utc_now) -> str:
    """A new token for somebody who was invited and has not accepted, by the platform's operators.

    Raises InvalidInput (field email) when nobody with the address was invited, MemberExists.
    """
    if accounts_read.user_by_email(email=email) is None:
        raise InvalidInput("Nobody with this address was invited.", field="email")
    with transaction.atomic():
        member, token = accounts.invite(email=email, clock=clock)
        audit.write(action="member.invited", actor=SYSTEM, resource=member.public_id)
    return token
