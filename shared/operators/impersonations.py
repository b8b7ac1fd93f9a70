"""The platform's rows of impersonations: that one begins, and that it is over. Call these in `public_schema()`.

What an organization is told of them is written by `provisioning.impersonation`, which may enter it.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from engine import outbox
from engine.clock import Clock, utc_now
from engine.errors import NotFound
from engine.principals import Principal
from shared.operator_log import services as operator_log
from shared.operators.models import Impersonation, ImpersonationQuerySet

OVER = "provisioning.impersonation_over"
"""Handled where the organization's audit log can be written."""


def begin(
    *,
    impersonation_id: UUID,
    operator: Principal,
    organization_id: UUID,
    role: str,
    reason: str,
    token_hash: str,
    created_at: datetime,
    expires_at: datetime,
) -> Impersonation:
    """Make a token work: from this commit on and until `expires_at`."""
    with transaction.atomic():
        row = Impersonation.objects.create(
            id=impersonation_id,
            created_at=created_at,
            operator_id=operator.id,
            organization_id=organization_id,
            role=role,
            reason=reason,
            token_hash=token_hash,
            expires_at=expires_at,
        )
        operator_log.record(
            action="impersonation.started",
            by=operator,
            organization_id=organization_id,
            reason=reason,
            detail={"impersonation": row.public_id, "role": role, "expires_at": expires_at.isoformat()},
        )
        outbox.send(name=OVER, payload={"impersonation_id": str(row.id)}, available_at=expires_at)
    return row


def end(*, impersonation_id: UUID, by: Principal, clock: Clock = utc_now) -> Impersonation:
    """End one before its time: its token is dead with the commit. Doing it again changes nothing.

    Raises NotFound.
    """
    with transaction.atomic():
        _end(Impersonation.objects.filter(id=impersonation_id), by=by, now=clock())
        row = Impersonation.objects.select_related("operator__user").filter(id=impersonation_id).first()
        if row is None:
            raise NotFound
    return row


def end_all(*, operator_id: UUID, by: Principal, clock: Clock = utc_now) -> None:
    """End every impersonation of an operator, in the caller's transaction."""
    _end(Impersonation.objects.filter(operator_id=operator_id), by=by, now=clock())


def _end(rows: ImpersonationQuerySet, *, by: Principal, now: datetime) -> None:
    for row in rows.filter(ended_at=None, expires_at__gt=now).select_for_update(of=("self",)):
        row.ended_at, row.ended_by = now, by.public_id
        row.save(update_fields=["ended_at", "ended_by"])
        detail = {"impersonation": row.public_id}
        operator_log.record(action="impersonation.ended", by=by, organization_id=row.organization_id, detail=detail)
        outbox.send(name=OVER, payload={"impersonation_id": str(row.id)})
