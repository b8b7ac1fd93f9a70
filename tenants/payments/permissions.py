from __future__ import annotations

from engine.permissions import Permission, declare

declare(
    Permission(
        "payment_methods.write",
        "Attach and remove people's payment methods.",
        since=1,
        roles=frozenset({"admin", "operator"}),
    ),
    Permission(
        "payments.read",
        "See payments, attempts and refunds.",
        since=1,
        roles=frozenset({"admin", "operator", "analyst"}),
    ),
    Permission("payments.write", "Charge, capture, refund and void.", since=1, roles=frozenset({"operator"})),
    Permission(
        "ledger.read",
        "Read the ledger: accounts, transactions, balances.",
        since=1,
        roles=frozenset({"admin", "analyst"}),
    ),
    Permission(
        "provider_accounts.read",
        "See payment provider accounts, never their credentials.",
        since=1,
        roles=frozenset({"admin"}),
    ),
    Permission("provider_accounts.write", "Add payment provider accounts and set their order.", since=1),
)
