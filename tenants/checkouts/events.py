"""What came of checkouts, as other systems are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tenants.events.events import Event


@dataclass(frozen=True, kw_only=True)
class CheckoutEvent(Event):
    """What every event of a checkout says."""

    checkout: str
    device: str
    site: str
    amount_minor: int
    currency: str
    reason: str
    person: str | None
    payment: str | None


@dataclass(frozen=True, kw_only=True)
class CheckoutRecognised(CheckoutEvent):
    """The person is known and the payment was made ready."""

    type: ClassVar[str] = "checkout.recognised"


@dataclass(frozen=True, kw_only=True)
class CheckoutApproved(CheckoutEvent):
    """The person was charged."""

    type: ClassVar[str] = "checkout.approved"


@dataclass(frozen=True, kw_only=True)
class CheckoutDeclined(CheckoutEvent):
    """The checkout was refused, by a rule or by the provider. Nobody was charged."""

    type: ClassVar[str] = "checkout.declined"


@dataclass(frozen=True, kw_only=True)
class CheckoutNotRecognised(CheckoutEvent):
    """Nobody could be recognised with enough certainty."""

    type: ClassVar[str] = "checkout.not_recognised"


@dataclass(frozen=True, kw_only=True)
class CheckoutConfirmationRequired(CheckoutEvent):
    """The amount asks for a second factor."""

    type: ClassVar[str] = "checkout.confirmation_required"


@dataclass(frozen=True, kw_only=True)
class CheckoutUnknown(CheckoutEvent):
    """The provider has not said what became of the payment; another event will."""

    type: ClassVar[str] = "checkout.unknown"


@dataclass(frozen=True, kw_only=True)
class CheckoutExpired(CheckoutEvent):
    """The checkout was interrupted before anybody was recognised. Nobody was charged."""

    type: ClassVar[str] = "checkout.expired"
