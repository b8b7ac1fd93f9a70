"""Background work: flows, in the one worker that holds the owner's login; what organizations are told, in any."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from engine import outbox
from engine.outbox.options import ARCHIVES, PROVISIONING
from engine.tenancy.context import current_organization
from provisioning import audit_retention, flows, impersonation
from shared.operators import impersonations
from tenants.audit import retention

_BUSY_DELAY = timedelta(seconds=10)
_DAY = timedelta(days=1)


@outbox.handler("provisioning.advance", queue=PROVISIONING, transactional=False)
@outbox.handler("provisioning.advance_long", queue=ARCHIVES, transactional=False)
def advance(*, message: outbox.Message) -> None:
    """Run a flow, or look again later whether whoever runs it now has come to its end."""
    try:
        flows.advance(flow_id=UUID(message.payload["flow_id"]))
    except flows.FlowBusyError as busy:
        raise outbox.Postpone(_BUSY_DELAY, busy.title) from busy


@outbox.handler(impersonations.OVER, transactional=False)
def tell_impersonation_over(*, message: outbox.Message) -> None:
    """The organization is told that an operator who looked into it no longer does."""
    impersonation.tell_end(impersonation_id=UUID(message.payload["impersonation_id"]))


@outbox.handler(retention.RELEASE, queue=ARCHIVES, transactional=False)
def release_audit(*, message: outbox.Message) -> None:
    """Old audit entries leave, today and each day, until the organization chooses anew."""
    chosen = retention.setting()
    if chosen.retention_days is None or chosen.generation != int(message.payload["generation"]):
        return
    audit_retention.release(context=current_organization())
    raise outbox.Postpone(_DAY, "old entries leave once a day")
