"""The one order in which rows of payments are locked.

    1. the payment           guards its attempts, captures, refunds and voids: none is changed without it
    2. balances, by id       at the very end of a transaction, because every payment shares them

Nothing else is locked, and no provider is called while any lock is held.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from engine.errors import NotFound
from tenants.payments.models import Balance, Payment


def payment(payment_id: UUID) -> Payment:
    """Lock a payment until the transaction ends. Raises NotFound."""
    found = Payment.objects.select_for_update(no_key=True).filter(id=payment_id).first()
    if found is None:
        raise NotFound("There is no such payment.")
    return found


def balances(account_ids: Iterable[UUID]) -> dict[UUID, Balance]:
    """Lock the balances of ledger accounts until the transaction ends, by account."""
    rows = Balance.objects.select_for_update(no_key=True).filter(account_id__in=list(account_ids))
    return {row.account_id: row for row in rows.order_by("account_id")}
