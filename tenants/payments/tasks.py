"""What workers do for payments: they talk to providers, so no transaction stands around them."""

from __future__ import annotations

from uuid import UUID

from engine import ids, outbox
from engine.principals import SYSTEM
from tenants.payments import services
from tenants.payments.services import messages


@outbox.handler(messages.ADVANCE, queue="payments", transactional=False)
def advance(*, message: outbox.Message) -> None:
    """Carry a payment on until it is decided; the message lives as long as it is not."""
    payment = services.advance(payment_id=UUID(message.payload["payment"]))
    delay = services.next_look(payment)
    if delay is not None:
        raise outbox.Postpone(delay, f"the payment is {payment.status}")


@outbox.handler(messages.PROVIDER_EVENT, queue="payments")
def provider_event(*, message: outbox.Message) -> None:
    """Apply what a provider told us by webhook."""
    services.process(event_id=UUID(message.payload["event"]))


@outbox.handler(messages.SWEEP, queue="payments", transactional=False, coalesce=True)
def sweep(*, message: outbox.Message) -> None:
    """Look at everything undecided, and come back while there is something."""
    left = services.sweep()
    if left:
        raise outbox.Postpone(messages.SWEEP_AFTER, f"{left} payments are undecided")


@outbox.handler(messages.FORGET_PERSON)
def forget_person(*, message: outbox.Message) -> None:
    """Detach what an erased person paid with."""
    services.forget_person(person_id=ids.decode("per", message.payload["person"]), by=SYSTEM)
