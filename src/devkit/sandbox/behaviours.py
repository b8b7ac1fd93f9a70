"""The ways in which the sandbox can fail, asked for by a payment method's token or for a whole
account.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from random import Random
from typing import Any

from devkit.sandbox.store import Account, Store


class Kind(StrEnum):
    """What goes wrong, and on which side of the effect."""

    DECLINE = "decline"  # 402 card_declined for every charge
    REVOKED = "revoked"  # 401: the secret key is not valid any more
    FORBIDDEN = "forbidden"  # 403: the account may not do this
    THROTTLED = "throttled"  # 429, nothing executed
    UNAVAILABLE = "unavailable"  # 503 at the edge, nothing executed, nothing stored
    ERROR_BEFORE = "error_before"  # 500 stored under the key, nothing executed
    ERROR_AFTER = "error_after"  # 500 stored under the key, executed all the same
    DROP_BEFORE = "drop_before"  # connection cut, nothing executed
    DROP_AFTER = "drop_after"  # connection cut, executed and stored
    SLOW_BEFORE = "slow_before"  # answers after delay_ms, executes last
    SLOW_AFTER = "slow_after"  # answers after delay_ms, executed first


@dataclass(frozen=True, slots=True)
class Fault:
    """One behaviour: ``operation`` such as ``payment_intents.confirm`` or ``*``; ``times`` None is
    for ever.
    """

    kind: Kind
    operation: str = "*"
    times: int | None = None
    rate: float = 1.0
    delay_ms: int = 0
    decline_code: str = "generic_decline"

    @classmethod
    def parse(cls, raw: dict[str, Any]) -> Fault:
        """From a control request. Raises ValueError or TypeError for what is not a fault."""
        return cls(**{**raw, "kind": Kind(raw.get("kind", ""))})

    def as_dict(self) -> dict[str, Any]:
        """As the control endpoints show it."""
        return asdict(self)

    def matches(self, operation: str) -> bool:
        """Whether it applies to this operation."""
        return self.operation in ("*", operation)


def take(store: Store, account: Account, operation: str, random: Random) -> list[Fault]:
    """The account's faults for this request, one ``times`` of each used up."""
    kept: list[Fault] = []
    taken: list[Fault] = []
    for fault in (Fault.parse(raw) for raw in store.faults(account)):
        if not fault.matches(operation) or random.random() >= fault.rate:
            kept.append(fault)
            continue
        taken.append(fault)
        if fault.times is None:
            kept.append(fault)
        elif fault.times > 1:
            kept.append(Fault(**{**asdict(fault), "times": fault.times - 1}))
    if taken:
        store.set_faults(account, [fault.as_dict() for fault in kept])
    return taken


@dataclass(frozen=True, slots=True)
class Card:
    """What a test payment method does. ``fault`` strikes once per payment intent, at the charge."""

    brand: str = "visa"
    last4: str = "4242"
    code: str | None = None  # error code of the refusal
    decline_code: str | None = None
    refund: str = "succeeded"  # succeeded, pending (then succeeded), fails (succeeded, then failed)
    processing: bool = False  # the charge is decided later
    fault: Kind | None = None
    delay_ms: int = 0


def _declined(decline_code: str, last4: str = "0002", code: str = "card_declined") -> Card:
    return Card(last4=last4, code=code, decline_code=decline_code)


CARDS: dict[str, Card] = {
    # Stripe's own test payment methods, which exist in every account.
    "pm_card_visa": Card(),
    "pm_card_mastercard": Card(brand="mastercard", last4="4444"),
    "pm_card_amex": Card(brand="amex", last4="8431"),
    "pm_card_chargeDeclined": _declined("generic_decline"),
    "pm_card_visa_chargeDeclined": _declined("generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": _declined("insufficient_funds", "9995"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": _declined("insufficient_funds", "9995"),
    "pm_card_visa_chargeDeclinedLostCard": _declined("lost_card", "9987"),
    "pm_card_visa_chargeDeclinedStolenCard": _declined("stolen_card", "9979"),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": _declined("card_velocity_exceeded", "6975"),
    "pm_card_chargeDeclinedFraudulent": _declined("fraudulent", "0019"),
    "pm_card_chargeDeclinedExpiredCard": Card(last4="0069", code="expired_card"),
    "pm_card_chargeDeclinedIncorrectCvc": Card(last4="0127", code="incorrect_cvc"),
    "pm_card_chargeDeclinedProcessingError": Card(last4="0119", code="processing_error"),
    "pm_card_authenticationRequired": Card(last4="3184", code="authentication_required"),
    "pm_card_pendingRefund": Card(last4="7726", refund="pending"),
    "pm_card_refundFail": Card(last4="5126", refund="fails"),
    # The sandbox's own: ways in which a network and a provider fail.
    "pm_sandbox_processing": Card(processing=True),
    "pm_sandbox_dropBeforeEffect": Card(fault=Kind.DROP_BEFORE),
    "pm_sandbox_dropAfterEffect": Card(fault=Kind.DROP_AFTER),
    "pm_sandbox_errorBeforeEffect": Card(fault=Kind.ERROR_BEFORE),
    "pm_sandbox_errorAfterEffect": Card(fault=Kind.ERROR_AFTER),
    "pm_sandbox_unavailable": Card(fault=Kind.UNAVAILABLE),
    "pm_sandbox_throttled": Card(fault=Kind.THROTTLED),
    "pm_sandbox_slow": Card(fault=Kind.SLOW_BEFORE, delay_ms=1_500),
    "pm_sandbox_timeoutAfterEffect": Card(fault=Kind.SLOW_AFTER, delay_ms=60_000),
}

MESSAGES: dict[str, str] = {
    "card_declined": "Your card was declined.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "authentication_required": "This payment requires additional user action before it can be completed.",
}


def of_kind(faults: list[Fault], *kinds: Kind) -> Iterator[Fault]:
    """The faults of these kinds, in order."""
    return (fault for fault in faults if fault.kind in kinds)
