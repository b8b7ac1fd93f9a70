"""What happens to payments, as others hear of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tenants.events.events import Event


@dataclass(frozen=True, kw_only=True)
class PaymentEvent(Event):
    """A payment as it stands after the fact. ``reference`` is the organization's own word for it."""

    payment: str
    person: str
    status: str
    amount_minor: int
    captured_minor: int
    refunded_minor: int
    currency: str
    reference: str


@dataclass(frozen=True, kw_only=True)
class PaymentCreated(PaymentEvent):
    """Committed; no provider was asked yet."""

    type: ClassVar[str] = "payment.created"


@dataclass(frozen=True, kw_only=True)
class PaymentAuthorized(PaymentEvent):
    """The money is reserved."""

    type: ClassVar[str] = "payment.authorized"


@dataclass(frozen=True, kw_only=True)
class PaymentCaptured(PaymentEvent):
    """The money is taken."""

    type: ClassVar[str] = "payment.captured"


@dataclass(frozen=True, kw_only=True)
class PaymentFailed(PaymentEvent):
    """Every attempt was refused; nothing was taken."""

    type: ClassVar[str] = "payment.failed"
    failure_code: str


@dataclass(frozen=True, kw_only=True)
class PaymentVoided(PaymentEvent):
    """Nothing was taken and nothing can be taken any more."""

    type: ClassVar[str] = "payment.voided"


@dataclass(frozen=True, kw_only=True)
class PaymentUndecided(PaymentEvent):
    """A provider did not answer; whether money was taken is being found out."""

    type: ClassVar[str] = "payment.undecided"


@dataclass(frozen=True, kw_only=True)
class PaymentNeedsReview(PaymentEvent):
    """No proof could be found, or the provider contradicts itself: a human has to look."""

    type: ClassVar[str] = "payment.review_required"


@dataclass(frozen=True, kw_only=True)
class RefundEvent(Event):
    """A refund as it stands after the fact."""

    refund: str
    payment: str
    status: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, kw_only=True)
class RefundSucceeded(RefundEvent):
    """The money is on its way back."""

    type: ClassVar[str] = "refund.succeeded"


@dataclass(frozen=True, kw_only=True)
class RefundFailed(RefundEvent):
    """The refund did not happen, or the bank sent it back."""

    type: ClassVar[str] = "refund.failed"
