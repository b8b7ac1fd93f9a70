"""What an organization asks of its people, and what an admin may do for one of them."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from engine.clock import Clock, utc_now
from engine.principals import Principal
from shared.accounts import second_factors
from shared.accounts import selectors as accounts_read
from shared.accounts import services as accounts
from tenants.access import services as access
from tenants.audit import services as audit


def require_mfa(*, required: bool, session: accounts_read.Session, by: Principal, clock: Clock = utc_now) -> None:
    """Ask every member for a second factor, or no longer. It counts from the next request on.

    Raises StepUpRequired, SecondFactorNeeded.
    """
    second_factors.require_fresh(session, clock=clock)
    with transaction.atomic():
        second_factors.set_required(required_now=required, session=session, clock=clock)
        organization = {"mfa_required": required}
        audit.write(action="sign_in.policy_changed", actor=by, resource=by.public_id, detail=organization, clock=clock)


def end_sessions(*, member_id: UUID, by: Principal, clock: Clock = utc_now) -> None:
    """Sign a member out everywhere. Raises NotFound, CannotGrantMore."""
    with transaction.atomic():
        member = accounts_read.user(user_id=member_id)
        access.require_mastery_of(giver=by, subject=member.principal)
        ended = accounts.sign_out_everywhere(user=member, clock=clock)
        detail = {"sessions": ended}
        audit.write(action="session.revoked", actor=by, resource=member.public_id, detail=detail, clock=clock)


def reset_second_factors(
    *, member_id: UUID, session: accounts_read.Session, by: Principal, clock: Clock = utc_now
) -> None:
    """Take the second factors of a member away who has lost them. Raises NotFound, StepUpRequired, CannotGrantMore."""
    member = accounts_read.user(user_id=member_id)
    second_factors.require_fresh(session, clock=clock)
    with transaction.atomic():
        access.require_mastery_of(giver=by, subject=member.principal)
        second_factors.reset(user=member, by=by, clock=clock)
