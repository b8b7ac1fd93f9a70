"""Messages that bring checkouts to their end."""

from __future__ import annotations

from uuid import UUID

from engine import outbox
from engine.outbox import Message
from tenants.checkouts import services


@outbox.handler("checkouts.advance", queue="payments", transactional=False)
def advance(*, message: Message) -> None:
    """Finish what a device began."""
    services.advance(checkout_id=UUID(message.payload["checkout"]))
