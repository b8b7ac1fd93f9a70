"""Making operators, and changing what they may do. Call these in `public_schema()`.

Each act is written to the operators' log in its own transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from engine.clock import Clock, utc_now
from engine.errors import Conflict, InvalidInput, NotFound
from engine.principals import Principal
from shared.accounts import otp
from shared.accounts import services as accounts
from shared.operator_log import services as operator_log
from shared.operators import impersonations
from shared.operators.models import ROLES, Operator
from shared.operators.rules import Role


class LastAdmin(Conflict):
    """Without an active admin nobody could change anything any more."""

    code = "last_admin"
    title = "The last admin cannot be removed"


class OperatorDisabled(Conflict):
    """The operator's account is closed."""

    code = "operator_disabled"
    title = "The operator is disabled"


@dataclass(frozen=True, slots=True)
class Authenticator:
    """What an operator needs beside the password. It is shown this once."""

    operator: Operator
    otpauth_url: str
    recovery_codes: tuple[str, ...]


def create(*, email: str, password: str, role: str, by: Principal, display_name: str = "") -> Authenticator:
    """Make an operator with a password, an authenticator and recovery codes.

    Raises InvalidInput (fields email, role), WeakPassword, OperatorExists.
    """
    _check(role)
    with transaction.atomic():
        made = accounts.create_operator(email=email, password=password, display_name=display_name)
        row = Operator.objects.create(user=made.user, role=role)
        codes = otp.new_recovery_codes(user=made.user)
        operator_log.record(action="operator.created", by=by, detail={"operator": row.public_id, "role": role})
    return Authenticator(operator=row, otpauth_url=made.otpauth_url, recovery_codes=codes)


def set_role(*, operator_id: UUID, role: str, by: Principal, reason: str = "") -> Operator:
    """Give an operator another role, from the next request on.

    Raises NotFound, InvalidInput (field role), OperatorDisabled, LastAdmin.
    """
    _check(role)
    with transaction.atomic():
        row = _locked(operator_id)
        if not row.user.is_active:
            raise OperatorDisabled("Make a new one instead, with another address.")
        if row.role != role:
            before, row.role = row.role, role
            row.save(update_fields=["role"])
            _require_an_admin()
            if role != Role.ADMIN:
                impersonations.end_all(operator_id=row.user_id, by=by)
            detail = {"operator": row.public_id, "role": role, "before": before}
            operator_log.record(action="operator.role_changed", by=by, reason=reason, detail=detail)
    return row


def disable(*, operator_id: UUID, by: Principal, reason: str = "", clock: Clock = utc_now) -> Operator:
    """Close an operator's account for good: every session and impersonation ends with the commit.

    Raises NotFound, LastAdmin.
    """
    with transaction.atomic():
        row = _locked(operator_id)
        if row.user.is_active:
            accounts.deactivate(user=row.user, clock=clock)
            _require_an_admin()
            impersonations.end_all(operator_id=row.user_id, by=by, clock=clock)
            operator_log.record(
                action="operator.disabled", by=by, reason=reason, detail={"operator": row.public_id}, clock=clock
            )
    return row


def reset_totp(*, operator_id: UUID, by: Principal, reason: str = "", clock: Clock = utc_now) -> Authenticator:
    """A new authenticator and new recovery codes; the old ones and every session are dead.

    Raises NotFound, OperatorDisabled.
    """
    with transaction.atomic():
        row = _locked(operator_id)
        if not row.user.is_active:
            raise OperatorDisabled("Make a new one instead, with another address.")
        url, codes = otp.enrol_again(user=row.user), otp.new_recovery_codes(user=row.user)
        accounts.sign_out_everywhere(user=row.user, clock=clock)
        operator_log.record(
            action="operator.totp_reset", by=by, reason=reason, detail={"operator": row.public_id}, clock=clock
        )
    return Authenticator(operator=row, otpauth_url=url, recovery_codes=codes)


def revoke_session(*, operator_id: UUID, session_id: UUID, by: Principal, clock: Clock = utc_now) -> None:
    """End one session of an operator. Raises NotFound."""
    with transaction.atomic():
        row = _locked(operator_id)
        session = accounts.own_session(user_id=row.user_id, session_id=session_id)
        accounts.sign_out(session=session, clock=clock)
        detail = {"operator": row.public_id, "session": session.public_id}
        operator_log.record(action="operator.session_revoked", by=by, detail=detail, clock=clock)


def _check(role: str) -> None:
    if role not in ROLES:
        raise InvalidInput(f"Choose one of: {', '.join(ROLES)}.", field="role")


def _locked(operator_id: UUID) -> Operator:
    """The operator, with every admin's row locked: of two who remove each other at once, one waits."""
    admins = Operator.objects.filter(role=Role.ADMIN).order_by("user_id").select_for_update()
    list(admins.values_list("user_id", flat=True))
    row = Operator.objects.select_related("user").select_for_update(of=("self",)).filter(user_id=operator_id).first()
    if row is None:
        raise NotFound
    return row


def _require_an_admin() -> None:
    if not Operator.objects.active_admins().exists():
        raise LastAdmin("Make somebody else an admin first.")
