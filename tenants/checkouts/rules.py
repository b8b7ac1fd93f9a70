"""The decisions of a checkout, as pure functions: may it be tried, who is it, what comes next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from tenants.identity.rules import Candidate

CLOCK_SKEW = timedelta(seconds=5)
"""How far ahead of ours a device's clock may be."""


class State(StrEnum):
    """Where a checkout stands. Every state is either terminal or has a message that moves it on."""

    RECEIVED = "received"
    """Written down; nobody has been looked for yet, or the one who looked has not come back."""
    PAYING = "paying"
    """The person is known and the payment exists."""
    UNKNOWN = "unknown"
    """The provider has not said what became of the payment. It will be found out."""
    APPROVED = "approved"
    DECLINED = "declined"
    NOT_RECOGNISED = "not_recognised"
    CONFIRMATION_REQUIRED = "confirmation_required"
    EXPIRED = "expired"
    """Interrupted before anybody was recognised. Nobody was charged."""


TERMINAL = frozenset(
    {
        State.APPROVED,
        State.DECLINED,
        State.NOT_RECOGNISED,
        State.CONFIRMATION_REQUIRED,
        State.EXPIRED,
    }
)
_NEXT: dict[State, frozenset[State]] = {
    State.RECEIVED: frozenset(
        {
            State.PAYING,
            State.DECLINED,
            State.NOT_RECOGNISED,
            State.CONFIRMATION_REQUIRED,
            State.EXPIRED,
        }
    ),
    State.PAYING: frozenset({State.UNKNOWN, State.APPROVED, State.DECLINED}),
    State.UNKNOWN: frozenset({State.APPROVED, State.DECLINED}),
}


class Reason(StrEnum):
    """Why a checkout ended as it did. Part of the API: never renamed."""

    PERMISSION_DENIED = "permission_denied"
    DEVICE_NOT_ACTIVE = "device_not_active"
    CURRENCY_MISMATCH = "currency_mismatch"
    AMOUNT_ABOVE_LIMIT = "amount_above_limit"
    DAILY_AMOUNT_ABOVE_LIMIT = "daily_amount_above_limit"
    OUTSIDE_HOURS = "outside_hours"
    PROBE_STALE = "probe_stale"
    PROBE_FROM_THE_FUTURE = "probe_from_the_future"
    PROBE_REPLAYED = "probe_replayed"
    LIVENESS_TOO_LOW = "liveness_too_low"
    PROBE_NOT_COMPARABLE = "probe_not_comparable"
    NO_CANDIDATE = "no_candidate"
    SCORE_TOO_LOW = "score_too_low"
    AMBIGUOUS = "ambiguous"
    PERSON_CHANGED = "person_changed"
    CLAIM_MISMATCH = "claim_mismatch"
    PIN_NOT_ACCEPTED = "pin_not_accepted"
    CONFIRMATION_NOT_ACCEPTED = "confirmation_not_accepted"
    ABOVE_CONFIRMATION_LIMIT = "above_confirmation_limit"
    INTERRUPTED = "interrupted"
    NO_PAYMENT_METHOD = "no_payment_method"
    NO_PROVIDER_ACCOUNT = "no_provider_account"
    PAYMENT_REFUSED = "payment_refused"
    PAYMENT_IN_REVIEW = "payment_in_review"


_OF_ACCESS = {
    "amount_above_limit": Reason.AMOUNT_ABOVE_LIMIT,
    "daily_amount_above_limit": Reason.DAILY_AMOUNT_ABOVE_LIMIT,
    "outside_hours": Reason.OUTSIDE_HOURS,
    "currency_not_allowed": Reason.CURRENCY_MISMATCH,
}


def reason_of_access(reason: str) -> Reason:
    """What a device is told when access refuses: limits by name, everything else in one word."""
    return _OF_ACCESS.get(reason, Reason.PERMISSION_DENIED)


class IllegalStepError(RuntimeError):
    """A checkout cannot go from the one state to the other."""


@dataclass(frozen=True, slots=True)
class Matching:
    """How sure one has to be for one modality and model. Scores are cosine similarities."""

    threshold: float
    """What a gallery of one asks for: the organization's identification threshold."""
    growth_per_tenfold: float
    """What is asked on top for each tenfold of the gallery."""
    margin: float
    """By how much the second person has to be less alike."""
    ceiling: float = 0.99


@dataclass(frozen=True, slots=True)
class Policy:
    """An organization's rules for checkouts. Amounts in minor units of `currency`."""

    currency: str
    limit_minor: int
    confirmation_above_minor: int
    probe_age_max: timedelta
    liveness_min: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a frame claims about itself, and when it arrived."""

    amount_minor: int
    currency: str
    captured_at: datetime
    received_at: datetime
    liveness_score: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """Who it is, or why nobody was recognised; with the figures that decided."""

    best: Candidate | None
    reason: Reason | None
    threshold: float
    runner_up_score: float | None

    @property
    def is_recognised(self) -> bool:
        """Whether `best` is the person."""
        return self.best is not None and self.reason is None


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a person added to the probe: the claim to be somebody, or a PIN that was checked."""

    claimed_person: UUID | None = None
    pin_accepted: bool | None = None


def check_step(present: State, following: State) -> None:
    """Raises IllegalStepError unless a checkout may go from `present` to `following`."""
    if following not in _NEXT.get(present, frozenset()):
        raise IllegalStepError(f"a checkout does not go from {present} to {following}")


def refusal(*, policy: Policy, evidence: Evidence) -> Reason | None:
    """Why this checkout may not even be tried, None when it may."""
    if evidence.amount_minor <= 0:
        raise ValueError("an amount is positive; the frame's schema says so")
    age = evidence.received_at - evidence.captured_at
    if evidence.currency != policy.currency:
        return Reason.CURRENCY_MISMATCH
    if evidence.amount_minor > policy.limit_minor:
        return Reason.AMOUNT_ABOVE_LIMIT
    if age > policy.probe_age_max:
        return Reason.PROBE_STALE
    if age < -CLOCK_SKEW:
        return Reason.PROBE_FROM_THE_FUTURE
    if not evidence.liveness_score >= policy.liveness_min:
        return Reason.LIVENESS_TOO_LOW
    return None


def threshold(*, matching: Matching, gallery_size: int) -> float:
    """How alike a probe has to be in a gallery of `gallery_size` people.

        threshold(N) = min(ceiling, threshold + growth_per_tenfold * log10(N))      for N >= 1

    The chance that some stranger looks alike enough grows with the number of strangers. Where the tail
    of impostors' scores falls by a constant factor per step of similarity, adding a constant per
    tenfold of the gallery keeps that chance where it was for a gallery of one.
    """
    grown = matching.threshold + matching.growth_per_tenfold * math.log10(max(gallery_size, 1))
    return min(matching.ceiling, grown)


def judge(*, candidates: Sequence[Candidate], gallery_size: int, matching: Matching) -> Judgement:
    """Who the probe belongs to. The runner-up is the best candidate that is another person."""
    needed = threshold(matching=matching, gallery_size=gallery_size)
    # What is not a number has no order: nobody can be said to come first.
    if not all(math.isfinite(one.score) for one in candidates):
        return Judgement(None, Reason.AMBIGUOUS, needed, None)
    ranked = sorted(candidates, key=lambda one: one.score, reverse=True)
    if not ranked:
        return Judgement(None, Reason.NO_CANDIDATE, needed, None)
    best = ranked[0]
    others = [one.score for one in ranked if one.person_id != best.person_id]
    runner_up = others[0] if others else None
    reason = None
    if best.score < needed:
        reason = Reason.SCORE_TOO_LOW
    elif runner_up is not None and best.score - runner_up < matching.margin:
        reason = Reason.AMBIGUOUS
    return Judgement(best, reason, needed, runner_up)


def second_factor(
    *, policy: Policy, amount_minor: int, person_id: UUID, confirmation: Confirmation
) -> tuple[State, Reason] | None:
    """What a recognised person still lacks; None when nothing does.

    A claim or a PIN that does not fit ends the checkout, whatever the amount.
    """
    if confirmation.claimed_person is not None and confirmation.claimed_person != person_id:
        return State.DECLINED, Reason.CLAIM_MISMATCH
    if confirmation.pin_accepted is False:
        return State.DECLINED, Reason.PIN_NOT_ACCEPTED
    confirmed = confirmation.claimed_person is not None or confirmation.pin_accepted is True
    if amount_minor > policy.confirmation_above_minor and not confirmed:
        return State.CONFIRMATION_REQUIRED, Reason.ABOVE_CONFIRMATION_LIMIT
    return None
