"""Writing the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from engine import canonical_json, outbox
from engine.api.requests import current_request_id
from engine.chain.log import SealedLog, Verification
from engine.clock import Clock, utc_now
from engine.principals import SYSTEM, Principal
from tenants.audit.models import RESTORED, Entry, Head, Pending, Seal

LOG = SealedLog(name="audit", rows=Entry, seals=Seal, pending=Pending, heads=Head)

DETAIL_BYTES_MAX = 16_384


class DetailTooLarge(ValueError):
    """The detail of an entry is above 16 KiB."""


def write(
    *,
    action: str,
    actor: Principal,
    resource: str,
    detail: Mapping[str, Any] | None = None,
    decision_id: UUID | None = None,
    clock: Clock = utc_now,
) -> Entry:
    """Write an entry in the transaction of the act that it tells of.

    ``action`` is ``<noun>.<verb>``, ``resource`` a public id. ``detail`` holds what an auditor needs to
    understand the act: JSON values, nothing biometric, nothing secret.

    Raises DetailTooLarge, engine.canonical_json.NotCanonical, and RuntimeError outside a transaction.
    """
    given = dict(detail or {})
    if len(canonical_json.encode(given)) > DETAIL_BYTES_MAX:
        raise DetailTooLarge(action)
    entry = Entry(
        created_at=clock(),
        action=action,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_display=actor.display,
        resource=resource,
        detail=given,
        decision_id=decision_id,
        request_id=current_request_id(),
    )
    LOG.append(entry)
    outbox.send(name="audit.seal", payload={})
    return entry


def seal() -> int:
    """Number everything that is pending; returns how many.

    Raises engine.outbox.Postpone while another sealer is at work.
    """
    return LOG.seal_all()


def resume_restored(*, at: int, backup: str, flow: str) -> None:
    """After a restore: go on above the number ``at`` with an entry that says so. In the caller's transaction."""

    def record_restored(ended_at: int) -> Entry:
        return write(action=RESTORED, actor=SYSTEM, resource=backup, detail={"ended_at": ended_at, "flow": flow})

    LOG.resume(at=at, record=record_restored)


def verify() -> Verification:
    """Walk the chain of this organization's audit log."""
    return LOG.verify()
