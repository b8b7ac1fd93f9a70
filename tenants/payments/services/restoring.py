"""What a backup does not know about its payments: whatever was under way may have gone on after it.

Nothing is charged, captured or refunded under a new key for that, and nothing is taken for not sent. Each
request that was committed is either found out about, under the key that was committed with it, or left to a human.
"""

from __future__ import annotations

from django.db import transaction

from engine import outbox
from engine.clock import Clock, utc_now
from tenants.payments.models import Attempt, Capture, Payment, Refund, Void
from tenants.payments.rules import AttemptState, OperationState, PaymentState
from tenants.payments.services import locks, messages, settlement


def settle_restored(*, clock: Clock = utc_now) -> int:
    """After a restore: put everything undecided into a state that reconciles; returns how many payments that are.

    Safe to repeat. Asks no provider: that is done by the messages that this sends, once the organization is open.
    """
    left = list(Payment.objects.undecided().order_by("id").values_list("id", flat=True))
    for payment_id in left:
        with transaction.atomic():
            payment = locks.payment(payment_id)
            payment.lease_token = payment.lease_until = payment.next_check_at = None
            payment.save()
            _doubt_attempt(payment)
            for model in (Capture, Refund, Void):
                _doubt_operations(model, payment)
            settlement.refresh(payment, clock=clock)
            outbox.send(name=messages.ADVANCE, payload={"payment": str(payment.id)})
    if left:
        with transaction.atomic():
            outbox.send(name=messages.SWEEP, payload={}, available_at=clock() + messages.SWEEP_AFTER)
    return len(left)


def _doubt_attempt(payment: Payment) -> None:
    """Take the newest attempt for sent, whatever the backup says."""
    attempt = payment.attempts.order_by("number").last()
    if attempt is None:
        return
    state = AttemptState(attempt.status)
    if state in (AttemptState.CREATED, AttemptState.PLACED, AttemptState.UNKNOWN):
        if state is AttemptState.PLACED:
            attempt.status = AttemptState.UNKNOWN
        _take_for_sent(attempt)
    elif state is AttemptState.REFUSED and payment.status == PaymentState.PENDING:
        # The next account may have been asked, under keys that this backup does not hold.
        attempt.status = AttemptState.NEEDS_REVIEW
    attempt.save()


def _doubt_operations(model: type[Capture] | type[Refund] | type[Void], payment: Payment) -> None:
    for row in model.objects.filter(payment=payment, status=OperationState.CREATED):
        # The window in which its key may be used again begins when it was made, not when it is sent the next time.
        _take_for_sent(row)
        row.save()


def _take_for_sent(row: Attempt | Capture | Refund | Void) -> None:
    row.sends = max(row.sends, 1)
    row.first_sent_at = row.first_sent_at or row.created_at
