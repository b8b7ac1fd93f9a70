"""The state machines of a payment, pure: what a fact does to a state, and what to do next.

A fact may arrive twice, late, or by another way than expected (an answer, a webhook, a look-up), so every
machine is monotonic: a fact that says nothing new leaves the state as it is, and one that cannot be true
together with what is known ends in ``contradicted``, for a human to look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

MAX_AMOUNT_MINOR = 10**12
MAX_ATTEMPTS = 4

CHARGE_WINDOW = timedelta(minutes=15)
"""Nothing that could still take money is sent later than this after the payment was asked for: the person
has left. An undecided charge is settled by looking it up and, failing that, by cancelling it. It lies far
inside the lifetime of every provider's idempotency keys."""

OPERATION_WINDOW = timedelta(hours=23)
"""A capture, refund or void is sent again under its key for this long. Providers keep keys for 24 hours, and a
key that they have forgotten would move the money twice."""

REVIEW_AFTER = timedelta(hours=26)
"""What is still undecided after this long needs a human. Webhooks are still believed."""

_BACKOFF_S = (5, 10, 20, 40, 60, 120, 300, 600, 1800, 3600)


class CaptureMethod(StrEnum):
    """Whether the money is taken at once or reserved first."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class PaymentState(StrEnum):
    """What an organization sees."""

    PENDING = "pending"
    UNKNOWN = "unknown"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    FAILED = "failed"
    VOIDED = "voided"
    NEEDS_REVIEW = "needs_review"


class AttemptState(StrEnum):
    """One try at one provider account."""

    CREATED = "created"  # committed, nobody asked yet (with `sends`, after a restore: perhaps asked)
    PLACED = "placed"  # known to the provider, without effect
    UNKNOWN = "unknown"  # the charge was sent and not answered
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    REFUSED = "refused"  # proven: no effect
    VOIDED = "voided"  # proven: no effect, or released
    NEEDS_REVIEW = "needs_review"
    CONTRADICTED = "contradicted"  # the provider said two things that cannot both be true


class Fact(StrEnum):
    """What a provider let us know about a charge."""

    PLACED = "placed"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    REFUSED = "refused"
    CANCELED = "canceled"
    UNDECIDED = "undecided"


class OperationState(StrEnum):
    """A capture, a refund or a void."""

    CREATED = "created"
    UNKNOWN = "unknown"
    PENDING = "pending"  # accepted, decided later (refunds)
    SUCCEEDED = "succeeded"
    REFUSED = "refused"  # proven: no effect
    FAILED = "failed"  # accepted, then came back (refunds)
    NEEDS_REVIEW = "needs_review"


LIVE_ATTEMPTS = frozenset(
    {
        AttemptState.CREATED,
        AttemptState.PLACED,
        AttemptState.UNKNOWN,
        AttemptState.AUTHORIZED,
        AttemptState.CAPTURED,
        AttemptState.NEEDS_REVIEW,
    }
)
"""At most one attempt of a payment is in one of these: the database holds it too."""

OPEN_ATTEMPTS = frozenset({AttemptState.CREATED, AttemptState.PLACED, AttemptState.UNKNOWN, AttemptState.NEEDS_REVIEW})
OPEN_OPERATIONS = frozenset({OperationState.CREATED, OperationState.UNKNOWN, OperationState.PENDING})
COUNTED_REFUNDS = frozenset(
    {
        OperationState.CREATED,
        OperationState.UNKNOWN,
        OperationState.PENDING,
        OperationState.SUCCEEDED,
        OperationState.NEEDS_REVIEW,
    }
)
"""Refunds that use up what may be refunded."""

FINAL_DECLINES = frozenset(
    {
        "authentication_required",
        "expired_card",
        "fraudulent",
        "incorrect_cvc",
        "incorrect_number",
        "insufficient_funds",
        "invalid_account",
        "invalid_cvc",
        "invalid_expiry_month",
        "invalid_expiry_year",
        "invalid_number",
        "lost_card",
        "merchant_blacklist",
        "new_account_information_available",
        "pickup_card",
        "restricted_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "security_violation",
        "stolen_card",
        "stop_payment_order",
    }
)
"""Refusals that are about the card and not about the account: trying elsewhere is useless, and card schemes
forbid it for some."""

_A, _F = AttemptState, Fact
_ATTEMPT: dict[tuple[AttemptState, Fact], AttemptState] = {
    (_A.CREATED, _F.PLACED): _A.PLACED,
    (_A.PLACED, _F.UNDECIDED): _A.UNKNOWN,
    (_A.CREATED, _F.REFUSED): _A.REFUSED,
    (_A.PLACED, _F.REFUSED): _A.REFUSED,
    (_A.UNKNOWN, _F.REFUSED): _A.REFUSED,
    (_A.NEEDS_REVIEW, _F.REFUSED): _A.REFUSED,
    (_A.AUTHORIZED, _F.CAPTURED): _A.CAPTURED,
    (_A.AUTHORIZED, _F.CANCELED): _A.VOIDED,
    (_A.REFUSED, _F.AUTHORIZED): _A.CONTRADICTED,
    (_A.REFUSED, _F.CAPTURED): _A.CONTRADICTED,
    (_A.VOIDED, _F.CAPTURED): _A.CONTRADICTED,
    (_A.CAPTURED, _F.CANCELED): _A.CONTRADICTED,
    **{
        (state, fact): target
        for state in (_A.CREATED, _A.PLACED, _A.UNKNOWN, _A.NEEDS_REVIEW)
        for fact, target in (
            (_F.AUTHORIZED, _A.AUTHORIZED),
            (_F.CAPTURED, _A.CAPTURED),
            (_F.CANCELED, _A.VOIDED),
        )
    },
}


def after_fact(state: AttemptState, fact: Fact) -> AttemptState:
    """The state of an attempt once ``fact`` is known; the same state when it says nothing new."""
    return _ATTEMPT.get((state, fact), state)


def after_review(state: AttemptState) -> AttemptState:
    """The state of an attempt for which nobody found proof in time."""
    undecided = (AttemptState.CREATED, AttemptState.PLACED, AttemptState.UNKNOWN)
    return AttemptState.NEEDS_REVIEW if state in undecided else state


_O = OperationState
_OPERATION: dict[OperationState, frozenset[OperationState]] = {
    _O.CREATED: frozenset({_O.UNKNOWN, _O.PENDING, _O.SUCCEEDED, _O.REFUSED, _O.FAILED, _O.NEEDS_REVIEW}),
    _O.UNKNOWN: frozenset({_O.PENDING, _O.SUCCEEDED, _O.REFUSED, _O.FAILED, _O.NEEDS_REVIEW}),
    _O.PENDING: frozenset({_O.SUCCEEDED, _O.FAILED, _O.NEEDS_REVIEW}),
    _O.SUCCEEDED: frozenset({_O.FAILED}),
    _O.NEEDS_REVIEW: frozenset({_O.PENDING, _O.SUCCEEDED, _O.REFUSED, _O.FAILED}),
    _O.REFUSED: frozenset(),
    _O.FAILED: frozenset(),
}


def after_operation(state: OperationState, said: OperationState) -> OperationState:
    """The state of a capture, refund or void once the provider ``said`` so; late news change nothing."""
    return said if said in _OPERATION[state] else state


# What to do next


class Do(StrEnum):
    """The next act of whoever holds the payment's lease."""

    PLACE = "place"
    CHARGE = "charge"  # first, or again under the same key
    LOOK_UP = "look_up"
    CANCEL = "cancel"
    OPERATE = "operate"
    LOOK_UP_OPERATION = "look_up_operation"
    FAIL_OVER = "fail_over"
    FAIL = "fail"
    EXPIRE = "expire"  # never charged and too late to begin: a refusal of our own
    REVIEW = "review"
    WAIT = "wait"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class AttemptView:
    """What the decision needs of the newest attempt. ``checks`` counts what was tried since it is unknown."""

    state: AttemptState
    sends: int = 0
    checks: int = 0
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class OperationView:
    """What the decision needs of an open capture, refund or void."""

    index: int
    state: OperationState
    first_sent_at: datetime | None = None
    has_reference: bool = False
    checks: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """What the decision needs of a payment."""

    created_at: datetime
    attempts: int
    attempt: AttemptView
    next_check_at: datetime | None = None
    another_account: bool = False
    operations: Sequence[OperationView] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What to do, and to which open operation."""

    do: Do
    operation: int | None = None


def next_step(view: View, *, now: datetime) -> Step:
    """What to do with a payment now."""
    attempt, age = view.attempt, now - view.created_at
    # Somebody asked to void it: that ends the search for what happened, so it goes first.
    if view.operations and attempt.state not in (AttemptState.CREATED, AttemptState.PLACED):
        return _next_operation(view, now=now)
    match attempt.state:
        case AttemptState.CREATED if attempt.sends:
            return _find_again(view, now=now, age=age)
        case AttemptState.CREATED:
            return Step(Do.PLACE if age < CHARGE_WINDOW else Do.EXPIRE)
        case AttemptState.PLACED if attempt.sends == 0:
            return Step(Do.CHARGE if age < CHARGE_WINDOW else Do.EXPIRE)
        case AttemptState.PLACED:
            # Its sender died before it wrote down an answer: what it sent may have had an effect.
            return _settle(view, now=now, age=age)
        case AttemptState.UNKNOWN:
            return _settle(view, now=now, age=age)
        case AttemptState.REFUSED:
            more = attempt.elsewhere and view.another_account and view.attempts < MAX_ATTEMPTS
            return Step(Do.FAIL_OVER if more and age < CHARGE_WINDOW else Do.FAIL)
    return Step(Do.NOTHING)


def _find_again(view: View, *, now: datetime, age: timedelta) -> Step:
    """Of a restored attempt nobody knows whether it was placed, and charged, after the backup. Placing it again
    under its key has no effect of its own and gives the reference by which that can be found out, for as long as
    the provider keeps the key."""
    if view.next_check_at is not None and now < view.next_check_at:
        return Step(Do.WAIT)
    return Step(Do.PLACE if age < OPERATION_WINDOW else Do.REVIEW)


def _settle(view: View, *, now: datetime, age: timedelta) -> Step:
    if view.next_check_at is not None and now < view.next_check_at:
        return Step(Do.WAIT)
    if age >= REVIEW_AFTER:
        return Step(Do.REVIEW)
    looks_up = view.attempt.checks % 2 == 1
    if age < CHARGE_WINDOW:
        return Step(Do.LOOK_UP if looks_up else Do.CHARGE)
    return Step(Do.CANCEL if looks_up else Do.LOOK_UP)


def _next_operation(view: View, *, now: datetime) -> Step:
    for operation in view.operations:
        due = view.next_check_at is None or now >= view.next_check_at
        match operation.state:
            case OperationState.CREATED if operation.first_sent_at is None:
                return Step(Do.OPERATE, operation.index)
            case OperationState.UNKNOWN | OperationState.PENDING if not due:
                return Step(Do.WAIT)
            case OperationState.PENDING:
                return Step(Do.LOOK_UP_OPERATION, operation.index)
            case OperationState.CREATED | OperationState.UNKNOWN:
                # One that is only `created` though it was sent: its sender died before it wrote down an answer.
                sent = operation.first_sent_at or now
                if now - sent < OPERATION_WINDOW and operation.checks % 2 == 0:
                    return Step(Do.OPERATE, operation.index)
                if now - sent < REVIEW_AFTER:
                    return Step(Do.LOOK_UP_OPERATION, operation.index)
                return Step(Do.REVIEW, operation.index)
    return Step(Do.NOTHING)


def check_delay(checks: int) -> timedelta:
    """How long to wait before the next look at something undecided, after ``checks`` looks."""
    return timedelta(seconds=_BACKOFF_S[min(checks, len(_BACKOFF_S) - 1)])


def may_go_elsewhere(code: str) -> bool:
    """Whether another provider account may be tried after this refusal."""
    return code not in FINAL_DECLINES


_FINISHED: dict[AttemptState, PaymentState] = {
    AttemptState.CREATED: PaymentState.PENDING,
    AttemptState.PLACED: PaymentState.PENDING,
    AttemptState.UNKNOWN: PaymentState.UNKNOWN,
    AttemptState.AUTHORIZED: PaymentState.AUTHORIZED,
    AttemptState.CAPTURED: PaymentState.CAPTURED,
    AttemptState.REFUSED: PaymentState.PENDING,
    AttemptState.VOIDED: PaymentState.VOIDED,
    AttemptState.NEEDS_REVIEW: PaymentState.NEEDS_REVIEW,
    AttemptState.CONTRADICTED: PaymentState.NEEDS_REVIEW,
}


def payment_state(attempts: Sequence[AttemptState], *, failed: bool = False) -> PaymentState:
    """The state of a payment from its attempts, oldest first.

    A refused newest attempt leaves the payment pending until somebody decides that it was the last (``failed``).
    """
    if AttemptState.CONTRADICTED in attempts:
        return PaymentState.NEEDS_REVIEW
    if failed and attempts[-1] is AttemptState.REFUSED:
        return PaymentState.FAILED
    return _FINISHED[attempts[-1]]


def may_void(state: PaymentState) -> bool:
    """Whether voiding makes sense. Of something undecided it is the way to a proof."""
    return state in (PaymentState.AUTHORIZED, PaymentState.UNKNOWN, PaymentState.NEEDS_REVIEW)


def refundable(*, captured_minor: int, reserved_minor: int) -> int:
    """What may still be refunded, when ``reserved_minor`` is refunded or on its way."""
    return captured_minor - reserved_minor
