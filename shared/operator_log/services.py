"""Writing the operators' log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from engine.api.requests import current_request_id
from engine.clock import Clock, utc_now
from engine.principals import Principal
from shared.operator_log.models import ACTORS, Act


def record(
    *,
    action: str,
    by: Principal,
    organization_id: UUID | None = None,
    reason: str = "",
    detail: Mapping[str, Any] | None = None,
    clock: Clock = utc_now,
) -> Act:
    """Write down an act in the transaction that does it. Call it in `public_schema()`.

    ``action`` is ``<noun>.<verb>`` in the past tense, for example ``organization.suspended``. ``detail`` holds
    what an auditor needs to understand the act: JSON values, nothing secret.

    Raises ValueError unless an operator or the platform itself acts, RuntimeError outside a transaction.
    """
    if by.kind not in ACTORS:
        raise ValueError(f"a {by.kind} is no operator")
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("an act and its record are one transaction; open it around both")
    return Act.objects.create(
        created_at=clock(),
        action=action,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_display=by.display,
        organization_id=organization_id,
        reason=reason.strip(),
        detail=dict(detail or {}),
        request_id=current_request_id(),
    )
