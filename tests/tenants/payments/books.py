"""The books, added up again from the transfers."""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

from tenants.payments.models import Balance, Payment, ProviderEvent, Transfer, TransferKind

SIDES = ("debits_posted_minor", "credits_posted_minor", "debits_pending_minor", "credits_pending_minor")


def added_up() -> dict[UUID, dict[str, int]]:
    """What each account's balance has to be."""
    sums: dict[UUID, dict[str, int]] = defaultdict(lambda: dict.fromkeys(SIDES, 0))
    for row in Transfer.objects.all():
        pending = {TransferKind.PENDING: row.amount_minor, TransferKind.POSTED: 0}.get(
            TransferKind(row.kind), -(row.pending_minor or 0)
        )
        posted = row.amount_minor if row.kind in (TransferKind.POSTED, TransferKind.POST) else 0
        for side, account in (("debits", row.debit_account_id), ("credits", row.credit_account_id)):
            sums[account][f"{side}_posted_minor"] += posted
            sums[account][f"{side}_pending_minor"] += pending
    return dict(sums)


def check() -> None:
    """Balances are the sum of the transfers, the two sides are equal, and payments say what events say."""
    sums = added_up()
    for balance in Balance.objects.all():
        found = {side: getattr(balance, side) for side in SIDES}
        assert found == sums.get(balance.account_id, dict.fromkeys(SIDES, 0))
    total = {side: sum(each[side] for each in sums.values()) for side in SIDES}
    assert total["debits_posted_minor"] == total["credits_posted_minor"]
    assert total["debits_pending_minor"] == total["credits_pending_minor"]
    for payment in Payment.objects.all():
        _check_payment(payment)


def _check_payment(payment: Payment) -> None:
    rows = list(payment.transfers.select_related("provider_event"))
    taken = sum(row.amount_minor for row in rows if row.reason in ("capture", "charge"))
    given = sum(row.amount_minor for row in rows if row.reason == "refund")
    # Only what had gone through can be reversed; a refund that was merely promised is voided.
    came_back = sum(row.amount_minor for row in rows if row.reason == "refund_failed" and row.kind == "posted")
    assert payment.captured_minor == taken
    assert payment.refunded_minor == given - came_back
    for row in rows:
        event: ProviderEvent = row.provider_event
        if row.kind != TransferKind.VOID and event.amount_minor is not None:
            assert (event.amount_minor, event.currency) == (row.amount_minor, row.currency)
