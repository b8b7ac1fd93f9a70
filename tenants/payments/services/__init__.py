"""What can be done with payments.

payment = payments.create(person_id=.., amount_minor=1250, currency="CHF", by=..)   # commits, asks nobody
payment = payments.advance(payment_id=payment.id)                                       # asks, commits
"""

from tenants.payments.services.accounts import AccountNameTaken, create_account, update_account
from tenants.payments.services.carrying import Busy, advance, next_look, sweep
from tenants.payments.services.following import follow_erasures
from tenants.payments.services.hooks import process, receive
from tenants.payments.services.intents import (
    AmountTooLarge,
    NoPaymentMethod,
    NoProviderAccount,
    NotInThisState,
    capture,
    create,
    refund,
    void,
)
from tenants.payments.services.methods import NewToken, create_method, detach_method, forget_person
from tenants.payments.services.restoring import settle_restored

__all__ = [
    "AccountNameTaken",
    "AmountTooLarge",
    "Busy",
    "NewToken",
    "NoPaymentMethod",
    "NoProviderAccount",
    "NotInThisState",
    "advance",
    "capture",
    "create",
    "create_account",
    "create_method",
    "detach_method",
    "follow_erasures",
    "forget_person",
    "next_look",
    "process",
    "receive",
    "refund",
    "settle_restored",
    "sweep",
    "update_account",
    "void",
]
