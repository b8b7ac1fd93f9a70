"""Posting to the ledger: rows are added and balance rows follow, in the transaction of the act."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import F

from engine import ids
from tenants.payments.models import (
    Attempt,
    Balance,
    LedgerAccount,
    LedgerKind,
    Payment,
    ProviderAccount,
    ProviderEvent,
    Refund,
    Transfer,
    TransferKind,
)
from tenants.payments.services import locks


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a transfer is made: the payment, what the provider said, and the row whose effect it is.

    One transfer exists per ``reason`` and ``source_id``, however often its cause is heard of.
    """

    payment: Payment
    event: ProviderEvent
    reason: str
    source_id: UUID


def reserve(*, attempt: Attempt, payment: Payment, event: ProviderEvent, amount_minor: int) -> Transfer:
    """A charge was authorized: the provider will owe the amount if it is captured."""
    cause = Cause(payment, event, "authorization", attempt.id)
    return _charge(cause, TransferKind.PENDING, attempt.provider_account, amount_minor)


def take(*, attempt: Attempt, payment: Payment, event: ProviderEvent, amount_minor: int) -> Transfer:
    """A charge was captured: the provider owes the amount; what was reserved beyond it is released."""
    pending = _pending("authorization", attempt.id)
    if pending is not None:
        return _resolve(pending, Cause(payment, event, "capture", attempt.id), amount_minor)
    cause = Cause(payment, event, "charge", attempt.id)
    return _charge(cause, TransferKind.POSTED, attempt.provider_account, amount_minor)


def release(*, attempt: Attempt, payment: Payment, event: ProviderEvent) -> Transfer | None:
    """A charge was voided: nothing is reserved any more. None when nothing was."""
    pending = _pending("authorization", attempt.id)
    return _resolve(pending, Cause(payment, event, "void", attempt.id), 0) if pending else None


def promise_refund(*, refund: Refund, payment: Payment, event: ProviderEvent) -> Transfer:
    """A refund was accepted and is decided later."""
    cause = Cause(payment, event, "refund_pending", refund.id)
    return _refund(cause, TransferKind.PENDING, refund)


def give_back(*, refund: Refund, payment: Payment, event: ProviderEvent) -> Transfer:
    """A refund went through."""
    cause = Cause(payment, event, "refund", refund.id)
    pending = _pending("refund_pending", refund.id)
    if pending is not None:
        return _resolve(pending, cause, refund.amount_minor)
    return _refund(cause, TransferKind.POSTED, refund)


def take_back(*, refund: Refund, payment: Payment, event: ProviderEvent) -> Transfer | None:
    """A refund failed: void it, or reverse it by a new row when it had gone through."""
    cause = Cause(payment, event, "refund_failed", refund.id)
    pending = _pending("refund_pending", refund.id)
    if pending is not None and not Transfer.objects.filter(pending=pending).exists():
        return _resolve(pending, cause, 0)
    done = Transfer.objects.filter(reason="refund", source_id=refund.id).first()
    if done is None:
        return None
    # The other way round: both accounts swap their sides.
    return _add(
        cause,
        kind=TransferKind.POSTED,
        debit=done.credit_account_id,
        credit=done.debit_account_id,
        currency=done.currency,
        amount_minor=done.amount_minor,
    )


def account_of(*, kind: LedgerKind, currency: str, provider_account: ProviderAccount | None = None) -> LedgerAccount:
    """The ledger account of a kind and currency, opened at first use."""
    found, _ = LedgerAccount.objects.get_or_create(kind=kind, currency=currency, provider_account=provider_account)
    Balance.objects.get_or_create(account=found)
    return found


def _charge(cause: Cause, kind: TransferKind, provider_account: ProviderAccount, amount_minor: int) -> Transfer:
    currency = cause.payment.currency
    owed = account_of(kind=LedgerKind.PROVIDER, currency=currency, provider_account=provider_account)
    sales = account_of(kind=LedgerKind.SALES, currency=currency)
    return _add(cause, kind=kind, debit=owed.id, credit=sales.id, currency=currency, amount_minor=amount_minor)


def _refund(cause: Cause, kind: TransferKind, refund: Refund) -> Transfer:
    currency = cause.payment.currency
    owed = account_of(kind=LedgerKind.PROVIDER, currency=currency, provider_account=refund.attempt.provider_account)
    refunds = account_of(kind=LedgerKind.REFUNDS, currency=currency)
    return _add(cause, kind=kind, debit=refunds.id, credit=owed.id, currency=currency, amount_minor=refund.amount_minor)


def _pending(reason: str, source_id: UUID) -> Transfer | None:
    return Transfer.objects.filter(reason=reason, source_id=source_id, kind=TransferKind.PENDING).first()


def _known(cause: Cause) -> Transfer | None:
    return Transfer.objects.filter(reason=cause.reason, source_id=cause.source_id).first()


def _add(cause: Cause, *, kind: TransferKind, debit: UUID, credit: UUID, currency: str, amount_minor: int) -> Transfer:
    known = _known(cause)
    if known is not None:
        return known
    transfer = Transfer.objects.create(
        transaction_id=ids.uuid7(),
        kind=kind,
        debit_account_id=debit,
        credit_account_id=credit,
        currency=currency,
        amount_minor=amount_minor,
        reason=cause.reason,
        source_id=cause.source_id,
        payment=cause.payment,
        provider_event=cause.event,
    )
    state = "pending" if kind is TransferKind.PENDING else "posted"
    _move(transfer, **{state: amount_minor})
    return transfer


def _resolve(pending: Transfer, cause: Cause, posted_minor: int) -> Transfer:
    """Post ``posted_minor`` of a pending transfer and void the rest, explicitly, in one row."""
    known = _known(cause)
    if known is not None:
        return known
    voided_minor = pending.amount_minor - posted_minor
    transfer = Transfer.objects.create(
        transaction_id=pending.transaction_id,
        kind=TransferKind.POST if posted_minor else TransferKind.VOID,
        debit_account_id=pending.debit_account_id,
        credit_account_id=pending.credit_account_id,
        currency=pending.currency,
        amount_minor=posted_minor or pending.amount_minor,
        voided_minor=voided_minor,
        pending=pending,
        pending_kind=pending.kind,
        pending_minor=pending.amount_minor,
        reason=cause.reason,
        source_id=cause.source_id,
        payment=cause.payment,
        provider_event=cause.event,
    )
    _move(transfer, pending=-pending.amount_minor, posted=posted_minor)
    return transfer


def _move(transfer: Transfer, *, posted: int = 0, pending: int = 0) -> None:
    locks.balances([transfer.debit_account_id, transfer.credit_account_id])
    for side, account_id in (("debits", transfer.debit_account_id), ("credits", transfer.credit_account_id)):
        posted_field, pending_field = f"{side}_posted_minor", f"{side}_pending_minor"
        Balance.objects.filter(account_id=account_id).update(
            **{posted_field: F(posted_field) + posted, pending_field: F(pending_field) + pending}
        )
