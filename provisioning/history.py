"""The record of what was done to an organization, in the platform's own schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import InvalidInput
from engine.principals import Principal
from provisioning.models import HistoryEntry
from shared.organizations.models import Organization

REASON_CHARACTERS_MAX = 500


def record(
    *,
    organization: Organization,
    action: str,
    by: Principal,
    reason: str = "",
    detail: Mapping[str, Any] | None = None,
) -> HistoryEntry:
    """Write an entry in the transaction of the act that it tells of. `action` is `<noun>.<verb>`."""
    return HistoryEntry.objects.create(
        organization=organization,
        action=action,
        actor=by.public_id,
        actor_display=by.display,
        reason=reason,
        detail=dict(detail or {}),
    )


def checked_reason(reason: str) -> str:
    """The reason, without spaces around it. Raises InvalidInput when there is none."""
    stripped = reason.strip()
    if not stripped or len(stripped) > REASON_CHARACTERS_MAX:
        raise InvalidInput(f"Give a reason of 1 to {REASON_CHARACTERS_MAX} characters.", field="reason")
    return stripped
