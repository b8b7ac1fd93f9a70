"""An operator looks into an organization: with a reason, for a short time, and the organization sees it.

The organization's audit log is written before the token works, so it may tell of an impersonation that
came to nothing and never misses one. See docs/adr/0074-impersonation-is-told-first-and-held-in-public.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction

from engine import ids, outbox
from engine.clock import Clock, utc_now
from engine.errors import DomainError, InvalidInput, NotFound
from engine.principals import SYSTEM, Principal
from engine.tenancy.context import organization, public_schema
from provisioning.organizations import checked_reason
from shared.accounts import codes
from shared.accounts import selectors as accounts
from shared.accounts.rules import hash_token
from shared.operators import impersonations
from shared.operators import selectors as operators
from shared.operators.models import Impersonation
from shared.operators.rules import IMPERSONATION_MINUTES_MAX
from shared.organizations.models import GONE, Organization, OrganizationStatus
from tenants.access import services as access
from tenants.audit import selectors as audit_read
from tenants.audit import services as audit


class FreshCodeNeeded(DomainError):
    """Whoever holds a session only must not get into an organization."""

    code = "fresh_code_needed"
    status = 403
    title = "A new one-time code of the authenticator is needed"


class OrganizationNotActive(DomainError):
    code = "organization_not_active"
    status = 409
    title = "Only an active organization can be looked into"


@dataclass(frozen=True, slots=True)
class Started:
    """An impersonation and its token, which is shown this once."""

    impersonation: Impersonation
    token: str


def start(
    *,
    organization_id: UUID,
    by: Principal,
    otp_code: str,
    reason: str,
    minutes: int,
    role: str,
    clock: Clock = utc_now,
) -> Started:
    """Let the operator `by` into an organization for some minutes. Call in `public_schema()`, in no transaction.

    Raises FreshCodeNeeded, TooManyAttempts, NotFound, OrganizationNotActive,
    InvalidInput (fields reason, minutes, role).
    """
    why = checked_reason(reason)
    if not 1 <= minutes <= IMPERSONATION_MINUTES_MAX:
        raise InvalidInput(f"Choose 1 to {IMPERSONATION_MINUTES_MAX} minutes.", field="minutes")
    target = Organization.objects.filter(id=organization_id).first()
    if target is None:
        raise NotFound
    if target.status != OrganizationStatus.ACTIVE:
        raise OrganizationNotActive(f"It is {target.status}.")
    if not codes.check(user=accounts.user(user_id=by.id), code=otp_code, proven="impersonation", clock=clock):
        raise FreshCodeNeeded("It is wrong, or was used before. Wait for the next one.", field="otp")
    impersonation_id, now = ids.uuid7(), clock()
    expires_at = now + timedelta(minutes=minutes)
    public_id = ids.encode(Impersonation.id_prefix, impersonation_id)
    with organization(target.context()):
        token = access.sign_impersonation_token(
            impersonation=public_id, operator=by, role=role, issued_at=now, expires_at=expires_at
        )
        detail = {"reason": why, "role": role, "expires_at": expires_at.isoformat()}
        with transaction.atomic():
            audit.write(action="impersonation.started", actor=by, resource=public_id, detail=detail, clock=clock)
    row = impersonations.begin(
        impersonation_id=impersonation_id,
        operator=by,
        organization_id=target.id,
        role=role,
        reason=why,
        token_hash=hash_token(token),
        created_at=now,
        expires_at=expires_at,
    )
    return Started(impersonation=row, token=token)


def tell_end(*, impersonation_id: UUID, clock: Clock = utc_now) -> None:
    """Write into the organization's audit log that an impersonation is over, once, when it is."""
    with public_schema():
        row = operators.impersonations().filter(id=impersonation_id).first()
        target = Organization.objects.filter(id=row.organization_id).first() if row else None
    if row is None or target is None or target.status in GONE:
        return
    if row.state(at=clock()) == "active":
        raise outbox.Postpone(row.expires_at - clock(), "it is not over yet")
    with organization(target.context()), transaction.atomic():
        # The end and the expiry may be handled at the same moment.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [row.public_id])
        if audit_read.entries(resource=row.public_id).filter(action="impersonation.ended").exists():
            return
        detail = {"operator": row.operator.public_id, "how": row.state(at=clock()), "by": row.ended_by}
        audit.write(action="impersonation.ended", actor=SYSTEM, resource=row.public_id, detail=detail, clock=clock)
