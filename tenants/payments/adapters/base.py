"""The port to payment providers: what a payment needs of one, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol

from tenants.payments.rules import Fact, OperationState


class Subject(StrEnum):
    """What a webhook is about."""

    CHARGE = "charge"
    REFUND = "refund"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets of an account. Several webhook secrets are good at once, so that they can be rotated."""

    secret_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be charged: the same for every sending of one attempt, or its key is worth nothing."""

    payment: str
    attempt: str
    organization: str
    amount_minor: int
    currency: str
    manual_capture: bool
    token: str = field(repr=False)
    customer: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What the provider let us know about a charge.

    ``fact`` is UNDECIDED unless the answer proves something. ``available`` is false when nobody could be asked
    at all, which proves that this sending had no effect. ``amount_minor`` is what the provider says was reserved
    or taken. ``code`` and ``elsewhere`` explain a refusal.
    """

    fact: Fact
    reference: str = ""
    amount_minor: int | None = None
    currency: str = ""
    code: str = ""
    elsewhere: bool = False
    available: bool = True
    source_id: str = ""


@dataclass(frozen=True, slots=True)
class OperationFinding:
    """What the provider let us know about a capture, refund or void; UNKNOWN unless it proves something.

    ``charge`` is what the same answer says about the charge itself.
    """

    state: OperationState
    reference: str = ""
    amount_minor: int | None = None
    currency: str = ""
    code: str = ""
    source_id: str = ""
    charge: Finding | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A webhook whose signature was right. ``owner`` holds the ids that we gave the provider to carry."""

    event_id: str
    kind: str
    occurred_at: datetime
    subject: Subject
    reference: str = ""
    charge_reference: str = ""
    owner: Mapping[str, str] = field(default_factory=dict)
    charge: Finding | None = None
    refund: OperationFinding | None = None


class BadSignature(ValueError):
    """A webhook's signature does not verify, is too old, or its body is not an event."""


class PaymentProvider(Protocol):
    """The verbs. Each sends one request (again, where that is proven safe) and never raises for its outcome.

    ``repeat`` says that the same request may have been sent before: then an answer which only shows that this
    sending was refused proves nothing about the other one.
    """

    name: ClassVar[str]
    default_base_url: ClassVar[str]

    def __init__(self, *, account: str, base_url: str, credentials: Credentials) -> None: ...

    def place(self, order: Order, *, key: str) -> Finding:
        """Make the charge known without any effect. A provider that cannot answers PLACED by itself."""
        ...

    def charge(self, order: Order, *, reference: str, key: str, repeat: bool) -> Finding:
        """Take the money, or reserve it."""
        ...

    def look_up(self, *, reference: str) -> Finding:
        """What became of a charge; that it is not there proves nothing."""
        ...

    def capture(self, *, reference: str, amount_minor: int, key: str, repeat: bool) -> OperationFinding:
        """Take part or all of what was reserved; the rest is released."""
        ...

    def cancel(self, *, reference: str, key: str, repeat: bool) -> OperationFinding:
        """See to it that nothing can be taken any more, and release what was reserved."""
        ...

    def refund(self, *, reference: str, amount_minor: int, refund: str, key: str, repeat: bool) -> OperationFinding:
        """Give back part or all; ``refund`` is our id for the provider to carry."""
        ...

    def look_up_refund(self, *, reference: str, refund: str, provider_reference: str) -> OperationFinding:
        """What became of a refund."""
        ...

    def read_notice(self, *, body: bytes, headers: Mapping[str, str], now: datetime) -> Notice:
        """The event of a webhook. Raises BadSignature."""
        ...
