"""What a provider said, applied to a locked payment. The only place where states and amounts change.

Called with the payment locked, for an answer, a look-up or a webhook alike: the same fact by two ways, in any
order, has one effect.
"""

from __future__ import annotations

from datetime import datetime

from engine import ids, outbox
from engine.clock import Clock
from tenants.payments import rules
from tenants.payments.adapters.base import Finding, OperationFinding
from tenants.payments.models import (
    Attempt,
    Capture,
    EventSource,
    Payment,
    ProviderAccount,
    ProviderEvent,
    Refund,
    Void,
)
from tenants.payments.rules import AttemptState, Fact, OperationState, PaymentState
from tenants.payments.services import ledger, messages, notes

Operation = Capture | Refund | Void
_EFFECTS = (AttemptState.AUTHORIZED, AttemptState.CAPTURED, AttemptState.VOIDED)


def apply_charge(
    *, payment: Payment, attempt: Attempt, finding: Finding, event: ProviderEvent | None, clock: Clock
) -> None:
    """Move an attempt, and its payment, by what was found out about the charge."""
    if finding.reference and attempt.provider_reference is None:
        attempt.provider_reference = finding.reference
        attempt.save(update_fields=["provider_reference"])
    old = AttemptState(attempt.status)
    new = rules.after_fact(old, finding.fact)
    if new is not old and new in _EFFECTS and not _plausible(payment, finding):
        new = AttemptState.CONTRADICTED
    if new is old:
        return
    attempt.status = new
    if new is AttemptState.REFUSED:
        attempt.refusal_code = finding.code
        attempt.elsewhere = finding.elsewhere
    if new not in (AttemptState.PLACED, AttemptState.UNKNOWN):
        attempt.settled_at = clock()
    if new is AttemptState.UNKNOWN:
        payment.next_check_at = clock() + rules.check_delay(attempt.checks)
        _arm_sweep(clock)
    attempt.save()
    if new in _EFFECTS:
        if event is None:
            raise AssertionError("money moved by nothing that a provider said")
        _book(payment, attempt, new, finding.amount_minor or 0, event)
        _close_operations(payment, new)
    refresh(payment, clock=clock)


def apply_operation(
    *, payment: Payment, operation: Operation, found: OperationFinding, event: ProviderEvent | None, clock: Clock
) -> None:
    """Move a capture, refund or void by what was found out about it, the charge that it changes first."""
    if found.charge is not None:
        apply_charge(payment=payment, attempt=_attempt_of(operation), finding=found.charge, event=event, clock=clock)
        operation.refresh_from_db()
    old = OperationState(operation.status)
    new = rules.after_operation(old, found.state)
    if isinstance(operation, Refund) and new is not old and not _plausible_refund(payment, operation, found):
        new = OperationState.NEEDS_REVIEW
    operation.provider_reference = operation.provider_reference or (
        found.reference if isinstance(operation, Refund) else ""
    )
    operation.status = new
    if new in (OperationState.REFUSED, OperationState.FAILED):
        operation.refusal_code = found.code
    operation.save()
    if new in (OperationState.UNKNOWN, OperationState.PENDING):
        payment.next_check_at = clock() + rules.check_delay(operation.checks)
        if new is not old:
            _arm_sweep(clock)
    if isinstance(operation, Refund) and new is not old:
        _book_refund(payment, operation, old=old, event=event, clock=clock)
    refresh(payment, clock=clock)


def refuse(*, payment: Payment, attempt: Attempt, code: str, elsewhere: bool, clock: Clock) -> None:
    """Nothing was sent that could have an effect, and nothing will be."""
    finding = Finding(Fact.REFUSED, code=code, elsewhere=elsewhere)
    apply_charge(payment=payment, attempt=attempt, finding=finding, event=None, clock=clock)


def review(*, payment: Payment, row: Attempt | Operation, clock: Clock) -> None:
    """Nobody could find out what happened: leave it to a human, and to webhooks."""
    if isinstance(row, Attempt):
        row.status = rules.after_review(AttemptState(row.status))
    else:
        row.status = rules.after_operation(OperationState(row.status), OperationState.NEEDS_REVIEW)
    row.save(update_fields=["status"])
    refresh(payment, clock=clock)


def fail(*, payment: Payment, clock: Clock) -> None:
    """The newest attempt was refused and there is no other to make."""
    newest = payment.attempts.order_by("number").last()
    payment.failure_code = newest.refusal_code if newest else ""
    refresh(payment, clock=clock, failed=True)


def refresh(payment: Payment, *, clock: Clock, failed: bool = False) -> None:
    """Bring a payment in line with its attempts and operations, and tell when its status is another."""
    states = [AttemptState(value) for value in payment.attempts.order_by("number").values_list("status", flat=True)]
    status = rules.payment_state(states, failed=failed or payment.status == PaymentState.FAILED)
    before = payment.status
    payment.status = status
    payment.open_operations = sum(
        model.objects.filter(payment=payment, status__in=rules.OPEN_OPERATIONS).count()
        for model in (Capture, Refund, Void)
    )
    if status not in (PaymentState.PENDING, PaymentState.UNKNOWN) and not payment.open_operations:
        payment.next_check_at = None
    payment.save()
    if status != before:
        notes.changed(payment, clock=clock)


def keep_event(
    *,
    account: ProviderAccount,
    kind: str,
    subject: str,
    finding: Finding | OperationFinding,
    occurred_at: datetime,
    charge_reference: str = "",
) -> ProviderEvent:
    """Store what a provider answered, once for each of its own request ids."""
    said = finding.fact if isinstance(finding, Finding) else finding.state
    event, _ = ProviderEvent.objects.get_or_create(
        provider_account=account,
        source=EventSource.REPLY,
        source_id=finding.source_id or str(ids.uuid7()),
        kind=kind,
        defaults={
            "subject": subject,
            "reference": finding.reference,
            "charge_reference": charge_reference,
            "said": said.value,
            "amount_minor": finding.amount_minor,
            "currency": finding.currency,
            "code": finding.code,
            "elsewhere": getattr(finding, "elsewhere", False),
            "occurred_at": occurred_at,
        },
    )
    return event


def _arm_sweep(clock: Clock) -> None:
    """What is undecided is looked at by a sweep too, should the payment's own message have been given up."""
    outbox.send(name=messages.SWEEP, payload={}, available_at=clock() + messages.SWEEP_AFTER)


def _attempt_of(operation: Operation) -> Attempt:
    return Attempt.objects.select_related("provider_account").get(id=operation.attempt_id)


def _plausible(payment: Payment, finding: Finding) -> bool:
    """Whether what the provider took can be what we asked for."""
    if finding.fact is Fact.CANCELED:
        return True
    amount, whole = finding.amount_minor, payment.amount_minor
    if amount is None or finding.currency != payment.currency or not 1 <= amount <= whole:
        return False
    capture = payment.captures.filter(status__in=rules.OPEN_OPERATIONS).first()
    if finding.fact is Fact.CAPTURED and payment.capture_method == rules.CaptureMethod.MANUAL:
        # Captured in the provider's own dashboard, or by us for exactly this much.
        return capture is None or capture.amount_minor == amount
    return amount == whole


def _plausible_refund(payment: Payment, refund: Refund, found: OperationFinding) -> bool:
    if found.state not in (OperationState.SUCCEEDED, OperationState.PENDING):
        return True
    return found.amount_minor == refund.amount_minor and found.currency == payment.currency


def _book(payment: Payment, attempt: Attempt, new: AttemptState, amount_minor: int, event: ProviderEvent) -> None:
    if new is AttemptState.AUTHORIZED:
        payment.authorized_minor = amount_minor
        ledger.reserve(attempt=attempt, payment=payment, event=event, amount_minor=amount_minor)
    elif new is AttemptState.CAPTURED:
        payment.captured_minor = amount_minor
        ledger.take(attempt=attempt, payment=payment, event=event, amount_minor=amount_minor)
    else:
        ledger.release(attempt=attempt, payment=payment, event=event)


def _close_operations(payment: Payment, new: AttemptState) -> None:
    """A charge that has ended settles what was asked of it, whoever ended it."""
    unsettled = (*rules.OPEN_OPERATIONS, OperationState.NEEDS_REVIEW)
    captured, voided = new is AttemptState.CAPTURED, new is AttemptState.VOIDED
    if not captured and not voided:
        return
    for model, succeeded in ((Capture, captured), (Void, voided)):
        status = OperationState.SUCCEEDED if succeeded else OperationState.REFUSED
        model.objects.filter(payment=payment, status__in=unsettled).update(
            status=status, refusal_code="" if succeeded else f"payment_{new}"
        )


def _book_refund(
    payment: Payment,
    refund: Refund,
    *,
    old: OperationState,
    event: ProviderEvent | None,
    clock: Clock,
) -> None:
    new, amount = OperationState(refund.status), refund.amount_minor
    if new in (OperationState.REFUSED, OperationState.FAILED):
        payment.refund_reserved_minor -= amount
        if old is OperationState.SUCCEEDED:
            payment.refunded_minor -= amount
    if event is not None:
        if new is OperationState.PENDING:
            ledger.promise_refund(refund=refund, payment=payment, event=event)
        elif new is OperationState.SUCCEEDED:
            payment.refunded_minor += amount
            ledger.give_back(refund=refund, payment=payment, event=event)
        elif new is OperationState.FAILED:
            ledger.take_back(refund=refund, payment=payment, event=event)
    if new in (OperationState.SUCCEEDED, OperationState.REFUSED, OperationState.FAILED):
        payment.save()
        notes.refund_settled(refund, payment, succeeded=new is OperationState.SUCCEEDED, clock=clock)
