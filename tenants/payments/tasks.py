"""What workers do for payments: they talk to providers, so no transaction stands around them."""

from __future__ import annotations

from uuid import UUID

from engine import outbox
from tenants.payments import services
from tenants.payments.services import hooks, intents


@outbox.handler(intents.ADVANCE, queue="payments", transactional=False)
def advance(*, message: outbox.Message) -> None:
    """Carry a payment on until it is decided; the message lives as long as it is not."""
    payment = services.advance(payment_id=UUID(message.payload["payment"]))
    delay = services.next_look(payment)
    if delay is not None:
        raise outbox.Postpone(delay, f"the payment is {payment.status}")


@outbox.handler(hooks.PROVIDER_EVENT, queue="payments")
def provider_event(*, message: outbox.Message) -> None:
    """Apply what a provider told us by webhook."""
    services.process(event_id=UUID(message.payload["event"]))
