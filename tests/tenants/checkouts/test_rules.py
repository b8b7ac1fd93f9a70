from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.checkouts import rules
from tenants.checkouts.rules import Candidate, Confirmation, Evidence, Matching, Policy, Reason, State

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
POLICY = Policy(
    currency="EUR",
    limit_minor=50_000,
    confirmation_above_minor=10_000,
    probe_age_max=timedelta(seconds=60),
    liveness_min=0.5,
)
MATCHING = Matching(threshold=0.6, growth_per_tenfold=0.05, margin=0.1)
PEOPLE = [UUID(int=number) for number in range(5)]


def evidence(**changes: Any) -> Evidence:
    values: dict[str, Any] = {
        "amount_minor": 1250,
        "currency": "EUR",
        "captured_at": NOW - timedelta(seconds=1),
        "received_at": NOW,
        "liveness_score": 0.9,
        **changes,
    }
    return Evidence(**values)


def candidate(person: int, score: float) -> Candidate:
    return Candidate(PEOPLE[person], UUID(int=100 + person), 1, score)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"currency": "CHF"}, Reason.CURRENCY_MISMATCH),
        ({"amount_minor": 50_000}, None),
        ({"amount_minor": 50_001}, Reason.AMOUNT_ABOVE_LIMIT),
        ({"captured_at": NOW - timedelta(seconds=60)}, None),
        ({"captured_at": NOW - timedelta(seconds=61)}, Reason.PROBE_STALE),
        ({"captured_at": NOW + timedelta(seconds=5)}, None),
        ({"captured_at": NOW + timedelta(seconds=6)}, Reason.PROBE_FROM_THE_FUTURE),
        ({"liveness_score": 0.5}, None),
        ({"liveness_score": 0.49}, Reason.LIVENESS_TOO_LOW),
        ({"liveness_score": math.nan}, Reason.LIVENESS_TOO_LOW),
    ],
)
def test_what_may_be_tried(changes: dict[str, Any], reason: Reason | None) -> None:
    assert rules.refusal(policy=POLICY, evidence=evidence(**changes)) == reason


@pytest.mark.parametrize("amount", [0, -1])
def test_an_amount_that_the_schema_lets_through_is_positive(amount: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        rules.refusal(policy=POLICY, evidence=evidence(amount_minor=amount))


def test_the_threshold_grows_by_a_constant_per_tenfold_of_the_gallery() -> None:
    grown = [rules.threshold(matching=MATCHING, gallery_size=size) for size in (0, 1, 10, 100, 100_000)]
    assert grown == pytest.approx([0.6, 0.6, 0.65, 0.7, 0.85])


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_more_people_never_ask_for_less(first: int, second: int) -> None:
    small, large = sorted((first, second))
    of = [rules.threshold(matching=MATCHING, gallery_size=size) for size in (small, large)]
    assert of[0] <= of[1] <= MATCHING.ceiling


@given(
    st.lists(st.tuples(st.integers(0, 4), st.floats(-1, 1) | st.just(math.nan)), max_size=6),
    st.integers(0, 10**6),
)
def test_whoever_is_recognised_is_alike_enough_and_far_from_everybody_else(
    found: list[tuple[int, float]], gallery_size: int
) -> None:
    candidates = [candidate(person, score) for person, score in found]
    judgement = rules.judge(candidates=candidates, gallery_size=gallery_size, matching=MATCHING)
    needed = rules.threshold(matching=MATCHING, gallery_size=gallery_size)
    assert judgement.threshold == needed
    if not judgement.is_recognised:
        assert judgement.reason is not None
        return
    best = judgement.best
    assert best is not None
    assert best.score >= needed
    for other in candidates:
        assert other.person_id == best.person_id or best.score - other.score >= MATCHING.margin


@pytest.mark.parametrize(
    ("found", "size", "reason"),
    [
        ([], 0, Reason.NO_CANDIDATE),
        ([(0, 0.59)], 1, Reason.SCORE_TOO_LOW),
        ([(0, 0.6)], 1, None),
        ([(0, 0.6)], 10, Reason.SCORE_TOO_LOW),
        ([(0, 0.9), (1, 0.85)], 2, Reason.AMBIGUOUS),
        ([(0, 0.9), (1, 0.9)], 2, Reason.AMBIGUOUS),
        ([(0, 0.9), (0, 0.89), (1, 0.7)], 2, None),
        ([(1, 0.7), (0, 0.9)], 2, None),
        ([(0, math.nan)], 1, Reason.AMBIGUOUS),
        ([(1, math.nan), (0, 0.9)], 2, Reason.AMBIGUOUS),
        ([(0, math.inf)], 1, Reason.AMBIGUOUS),
    ],
)
def test_who_is_recognised(found: list[tuple[int, float]], size: int, reason: Reason | None) -> None:
    candidates = [candidate(person, score) for person, score in found]
    judgement = rules.judge(candidates=candidates, gallery_size=size, matching=MATCHING)
    assert judgement.reason == reason
    assert judgement.is_recognised == (reason is None)


@pytest.mark.parametrize(
    ("amount", "confirmation", "lacking"),
    [
        (10_000, Confirmation(), None),
        (10_001, Confirmation(), (State.CONFIRMATION_REQUIRED, Reason.ABOVE_CONFIRMATION_LIMIT)),
        (10_001, Confirmation(claimed_person=PEOPLE[0]), None),
        (10_001, Confirmation(pin_accepted=True), None),
        (1, Confirmation(claimed_person=PEOPLE[1]), (State.DECLINED, Reason.CLAIM_MISMATCH)),
        (1, Confirmation(pin_accepted=False), (State.DECLINED, Reason.PIN_NOT_ACCEPTED)),
        (
            10_001,
            Confirmation(claimed_person=PEOPLE[0], pin_accepted=False),
            (State.DECLINED, Reason.PIN_NOT_ACCEPTED),
        ),
    ],
)
def test_what_a_recognised_person_still_lacks(
    amount: int, confirmation: Confirmation, lacking: tuple[State, Reason] | None
) -> None:
    found = rules.second_factor(policy=POLICY, amount_minor=amount, person_id=PEOPLE[0], confirmation=confirmation)
    assert found == lacking


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_terminal_or_leads_to_a_terminal_one(state: State) -> None:
    reached, todo = set(), [state]
    while todo:
        here = todo.pop()
        reached.add(here)
        todo += [there for there in rules._NEXT.get(here, ()) if there not in reached]
    assert (state in rules.TERMINAL) == (state not in rules._NEXT)
    assert reached & rules.TERMINAL


@given(st.sampled_from(list(State)), st.sampled_from(list(State)))
def test_nothing_leaves_a_terminal_state(present: State, following: State) -> None:
    if present in rules.TERMINAL:
        with pytest.raises(rules.IllegalStepError):
            rules.check_step(present, following)
