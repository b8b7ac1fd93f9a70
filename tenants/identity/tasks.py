"""Erasures that their request could not finish."""

from __future__ import annotations

from uuid import UUID

from engine import outbox
from tenants.identity import services


@outbox.handler("identity.finish_erasure", transactional=False)
def finish_erasure(*, message: outbox.Message) -> None:
    services.finish_erasure(person_id=UUID(message.payload["person_id"]))
