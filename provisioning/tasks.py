"""Background work: flows, in the one worker that holds the owner's login; what organizations are told, in any."""

from __future__ import annotations

from uuid import UUID

from engine import outbox
from provisioning import flows, impersonation
from shared.operators import impersonations


@outbox.handler("provisioning.advance", queue="provisioning", transactional=False)
def advance(*, message: outbox.Message) -> None:
    flows.advance(flow_id=UUID(message.payload["flow_id"]))


@outbox.handler(impersonations.OVER, transactional=False)
def tell_impersonation_over(*, message: outbox.Message) -> None:
    """The organization is told that an operator who looked into it no longer does."""
    impersonation.tell_end(impersonation_id=UUID(message.payload["impersonation_id"]))
