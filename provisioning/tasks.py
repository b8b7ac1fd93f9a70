"""Flows in the background, in the one worker that holds the owner's login."""

from __future__ import annotations

from uuid import UUID

from engine import outbox
from provisioning import flows


@outbox.handler("provisioning.advance", queue="provisioning", transactional=False)
def advance(*, message: outbox.Message) -> None:
    flows.advance(flow_id=UUID(message.payload["flow_id"]))
