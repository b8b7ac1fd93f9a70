"""What others are told when a payment changes: events, audit entries and usage, in the act's transaction."""

from __future__ import annotations

from typing import Any

from engine import ids
from engine.clock import Clock
from engine.principals import SYSTEM, Principal
from tenants.audit import services as audit
from tenants.events import services as events
from tenants.payments import events as facts
from tenants.payments.models import Payment, Refund
from tenants.payments.rules import PaymentState
from tenants.usage import services as usage

_EVENTS: dict[PaymentState, type[facts.PaymentEvent]] = {
    PaymentState.AUTHORIZED: facts.PaymentAuthorized,
    PaymentState.CAPTURED: facts.PaymentCaptured,
    PaymentState.VOIDED: facts.PaymentVoided,
    PaymentState.UNKNOWN: facts.PaymentUndecided,
    PaymentState.NEEDS_REVIEW: facts.PaymentNeedsReview,
}


def created(payment: Payment, *, by: Principal, clock: Clock) -> None:
    """A payment was asked for."""
    events.record(event=_payment_event(facts.PaymentCreated, payment), clock=clock)
    detail = {"amount_minor": payment.amount_minor, "currency": payment.currency}
    audit.write(action="payment.create", actor=by, resource=payment.public_id, detail=detail, clock=clock)


def changed(payment: Payment, *, clock: Clock) -> None:
    """A payment has another status than before."""
    status = PaymentState(payment.status)
    if status is PaymentState.FAILED:
        event: facts.PaymentEvent = _failed_event(payment)
    elif status in _EVENTS:
        event = _payment_event(_EVENTS[status], payment)
    else:
        return
    events.record(event=event, clock=clock)
    detail = {"status": status.value, "captured_minor": payment.captured_minor, "currency": payment.currency}
    audit.write(action="payment.settle", actor=SYSTEM, resource=payment.public_id, detail=detail, clock=clock)
    if status is PaymentState.CAPTURED:
        usage.record(metric="payments.captured", quantity=1, source_id=payment.public_id, clock=clock)


def asked(kind: str, payment: Payment, *, amount_minor: int | None, by: Principal, clock: Clock) -> None:
    """A capture, refund or void was asked for."""
    detail = {} if amount_minor is None else {"amount_minor": amount_minor}
    audit.write(action=f"payment.{kind}", actor=by, resource=payment.public_id, detail=detail, clock=clock)


def refund_settled(refund: Refund, payment: Payment, *, succeeded: bool, clock: Clock) -> None:
    """A refund went through, or did not."""
    kind: type[facts.RefundEvent] = facts.RefundSucceeded if succeeded else facts.RefundFailed
    event = kind(
        refund=refund.public_id,
        payment=payment.public_id,
        status=str(refund.status),
        amount_minor=refund.amount_minor,
        currency=payment.currency,
    )
    events.record(event=event, clock=clock)
    detail = {"status": str(refund.status), "amount_minor": refund.amount_minor}
    audit.write(action="refund.settle", actor=SYSTEM, resource=refund.public_id, detail=detail, clock=clock)
    if succeeded:
        usage.record(metric="refunds.succeeded", quantity=1, source_id=refund.public_id, clock=clock)


def _payment_event(kind: type[facts.PaymentEvent], payment: Payment) -> facts.PaymentEvent:
    return kind(**_values(payment))


def _failed_event(payment: Payment) -> facts.PaymentFailed:
    return facts.PaymentFailed(**_values(payment), failure_code=payment.failure_code)


def _values(payment: Payment) -> dict[str, Any]:
    return {
        "payment": payment.public_id,
        "person": ids.encode("per", payment.person_id),
        "status": str(payment.status),
        "amount_minor": payment.amount_minor,
        "captured_minor": payment.captured_minor,
        "refunded_minor": payment.refunded_minor,
        "currency": payment.currency,
        "reference": payment.reference,
    }
