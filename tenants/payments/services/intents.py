"""What somebody wants to happen, committed before any provider is asked. ``advance`` makes it happen."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from engine import ids, outbox
from engine.clock import Clock, utc_now
from engine.errors import Conflict, DomainError, InvalidInput
from engine.principals import Principal
from tenants.payments import rules
from tenants.payments.models import (
    Attempt,
    Capture,
    Payment,
    PaymentMethod,
    ProviderAccount,
    ProviderToken,
    Refund,
    Void,
)
from tenants.payments.rules import CaptureMethod, OperationState, PaymentState
from tenants.payments.services import locks, messages, notes


class NoPaymentMethod(InvalidInput):
    """The person has no such active payment method."""

    code = "no_payment_method"
    title = "The person has no such payment method"


class NoProviderAccount(Conflict):
    """No active provider account knows the payment method."""

    code = "no_provider_account"
    title = "No active provider account knows this payment method"


class NotInThisState(Conflict):
    """The payment's present state does not allow this; ``payment_status`` says which it is."""

    code = "payment_state_conflict"
    title = "The payment's state does not allow this"


class AmountTooLarge(DomainError):
    """More than there is; ``available_minor`` says how much there is."""

    code = "amount_too_large"
    status = 400
    title = "The amount is larger than what is available"


@transaction.atomic
def create(
    *,
    person_id: UUID,
    amount_minor: int,
    currency: str,
    by: Principal,
    payment_method_id: UUID | None = None,
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC,
    description: str = "",
    reference: str = "",
    clock: Clock = utc_now,
) -> Payment:
    """Commit the intent to charge a person, and attempt 1 with its idempotency keys. Asks no provider.

    ``payment_method_id`` None takes the person's newest active one; an erased person has none, from the first moment
    on. ``reference`` is the caller's own word for the payment. May be called inside the transaction that decided on
    it; call ``advance`` after that committed.
    Raises NoPaymentMethod and NoProviderAccount.
    """
    if not 1 <= amount_minor <= rules.MAX_AMOUNT_MINOR:
        raise InvalidInput("It is 1 to 10^12 minor units.", field="amount_minor")
    methods = PaymentMethod.objects.active().filter(person_id=person_id, person__status="active")
    if payment_method_id is not None:
        methods = methods.filter(id=payment_method_id)
    method = methods.order_by("id").last()
    if method is None:
        raise NoPaymentMethod(field="payment_method")
    account = next_account(method_id=method.id, used=set())
    if account is None:
        raise NoProviderAccount
    payment = Payment.objects.create(
        person_id=person_id,
        payment_method=method,
        amount_minor=amount_minor,
        currency=currency,
        capture_method=CaptureMethod(capture_method),
        description=description,
        reference=reference,
        actor_kind=by.kind,
        actor_id=by.id,
        created_at=clock(),
    )
    new_attempt(payment=payment, account=account, number=1)
    notes.created(payment, by=by, clock=clock)
    _arm(payment, clock)
    return payment


@transaction.atomic
def capture(*, payment_id: UUID, by: Principal, amount_minor: int | None = None, clock: Clock = utc_now) -> Capture:
    """Commit the intent to take what is reserved, or part of it: then the rest is released.

    Raises NotInThisState and AmountTooLarge.
    """
    payment = locks.payment(payment_id)
    _require(payment, payment.status == PaymentState.AUTHORIZED, "Only an authorized payment can be captured.")
    _require(payment, not _has_open(payment), "Something else is under way for this payment.")
    amount = payment.authorized_minor if amount_minor is None else amount_minor
    if not 1 <= amount <= payment.authorized_minor:
        raise AmountTooLarge(field="amount_minor", available_minor=payment.authorized_minor)
    row = Capture(amount_minor=amount)
    _commit(payment, row, by=by, clock=clock)
    notes.asked("capture", payment, amount_minor=amount, by=by, clock=clock)
    return row


@transaction.atomic
def refund(
    *,
    payment_id: UUID,
    by: Principal,
    amount_minor: int | None = None,
    reason: str = "",
    clock: Clock = utc_now,
) -> Refund:
    """Commit the intent to give back what was taken and is not refunded yet, or part of it.

    Raises NotInThisState and AmountTooLarge.
    """
    payment = locks.payment(payment_id)
    _require(payment, payment.status == PaymentState.CAPTURED, "Only a captured payment can be refunded.")
    left = rules.refundable(captured_minor=payment.captured_minor, reserved_minor=payment.refund_reserved_minor)
    amount = left if amount_minor is None else amount_minor
    if not 1 <= amount <= left:
        raise AmountTooLarge(field="amount_minor", available_minor=left)
    payment.refund_reserved_minor += amount
    row = Refund(amount_minor=amount, reason=reason)
    _commit(payment, row, by=by, clock=clock)
    notes.asked("refund", payment, amount_minor=amount, by=by, clock=clock)
    return row


@transaction.atomic
def void(*, payment_id: UUID, by: Principal, clock: Clock = utc_now) -> Void:
    """Commit the intent to release what is reserved. Of an undecided payment: to make sure that nothing is taken.

    Raises NotInThisState.
    """
    payment = locks.payment(payment_id)
    allowed = rules.may_void(PaymentState(payment.status)) and _newest(payment).provider_reference is not None
    _require(payment, allowed, "Only an authorized or undecided payment can be voided.")
    _require(payment, not _has_open(payment), "Something else is under way for this payment.")
    row = Void()
    _commit(payment, row, by=by, clock=clock)
    notes.asked("void", payment, amount_minor=None, by=by, clock=clock)
    return row


def next_account(*, method_id: UUID, used: set[UUID]) -> ProviderAccount | None:
    """The preferred active account that knows the payment method and was not asked yet."""
    knowing = ProviderToken.objects.filter(payment_method_id=method_id).values("provider_account_id")
    return ProviderAccount.objects.active().filter(id__in=knowing).exclude(id__in=used).first()


def new_attempt(*, payment: Payment, account: ProviderAccount, number: int) -> Attempt:
    """Commit-to-be of a try at one account, with the keys under which it will be sent and never another."""
    attempt_id = ids.uuid7()
    public_id = ids.encode(Attempt.id_prefix, attempt_id)
    return Attempt.objects.create(
        id=attempt_id,
        payment=payment,
        number=number,
        provider_account=account,
        place_key=f"{public_id}:place",
        charge_key=f"{public_id}:charge",
    )


def _newest(payment: Payment) -> Attempt:
    return payment.attempts.select_related("provider_account").latest("number")


def _has_open(payment: Payment) -> bool:
    unsettled = (*rules.OPEN_OPERATIONS, OperationState.NEEDS_REVIEW)
    return any(model.objects.filter(payment=payment, status__in=unsettled).exists() for model in (Capture, Void))


def _require(payment: Payment, allowed: bool, detail: str) -> None:
    if not allowed:
        raise NotInThisState(detail, payment_status=str(payment.status))


def _commit(payment: Payment, row: Capture | Refund | Void, *, by: Principal, clock: Clock) -> None:
    row.payment = payment
    row.attempt = _newest(payment)
    row.key = row.public_id
    row.actor_kind, row.actor_id = by.kind, by.id
    row.save(force_insert=True)
    payment.open_operations += 1
    payment.save()
    _arm(payment, clock)


def _arm(payment: Payment, clock: Clock) -> None:
    at = clock() + messages.SAFETY_NET
    outbox.send(name=messages.ADVANCE, payload={"payment": str(payment.id)}, available_at=at)
