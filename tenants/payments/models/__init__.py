"""The tables of payments and of the ledger."""

from tenants.payments.models.core import (
    AccountStatus,
    Attempt,
    Capture,
    EventSource,
    MethodStatus,
    Payment,
    PaymentMethod,
    ProviderAccount,
    ProviderEvent,
    ProviderToken,
    Refund,
    Void,
)
from tenants.payments.models.ledger import Balance, LedgerAccount, LedgerKind, Transfer, TransferKind

__all__ = [
    "AccountStatus",
    "Attempt",
    "Balance",
    "Capture",
    "EventSource",
    "LedgerAccount",
    "LedgerKind",
    "MethodStatus",
    "Payment",
    "PaymentMethod",
    "ProviderAccount",
    "ProviderEvent",
    "ProviderToken",
    "Refund",
    "Transfer",
    "TransferKind",
    "Void",
]
