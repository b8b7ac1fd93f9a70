"""Background work of webhooks."""

from __future__ import annotations

from engine import ids, outbox
from tenants.webhooks import services


@outbox.handler("webhooks.deliver", queue="webhooks", transactional=False)
def deliver(*, message: outbox.Message) -> None:
    """Make one attempt of one delivery."""
    services.deliver(
        delivery_id=ids.decode("dlv", message.payload["delivery"]),
        attempt=int(message.payload["attempt"]),
    )
