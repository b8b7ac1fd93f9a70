"""What counts as a match."""

from __future__ import annotations

import base64
import math
import struct
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.identity.rules import (
    MARGIN_MIN,
    THRESHOLD_MAX,
    Candidate,
    InvalidVector,
    decide,
    decode_vector,
    identification_threshold,
)

NAN = float("nan")
THRESHOLD = 0.65
SIMILARITY = st.floats(min_value=-1, max_value=1)


def candidate(person: int, score: float, *, template: int = 1) -> Candidate:
    return Candidate(person_id=UUID(int=person), template_id=UUID(int=template), template_version=1, score=score)


def ranked(*scores: tuple[int, float]) -> list[Candidate]:
    """Candidates best first, out of people and scores."""
    return [candidate(person, score) for person, score in sorted(scores, key=lambda one: -one[1])]


people_and_scores = st.lists(st.tuples(st.integers(1, 5), SIMILARITY), max_size=8)


def test_nobody_is_found_where_nobody_is() -> None:
    decision = decide(candidates=[], threshold=THRESHOLD)
    assert (decision.outcome, decision.best, decision.runner_up) == ("no_match", None, None)


@pytest.mark.parametrize(("score", "outcome"), [(0.65, "match"), (0.6499, "no_match"), (-1.0, "no_match")])
def test_the_threshold_itself_is_enough(score: float, outcome: str) -> None:
    assert decide(candidates=[candidate(1, score)], threshold=THRESHOLD).outcome == outcome


@pytest.mark.parametrize(
    ("second", "outcome"), [(0.9, "ambiguous"), (0.89, "ambiguous"), (0.87, "match"), (0.1, "match")]
)
def test_two_people_about_as_alike_are_ambiguous(second: float, outcome: str) -> None:
    decision = decide(candidates=ranked((1, 0.9), (2, second)), threshold=THRESHOLD)
    assert decision.outcome == outcome
    assert decision.runner_up is not None
    assert decision.runner_up.person_id == UUID(int=2)


def test_a_runner_up_below_the_threshold_still_makes_it_ambiguous() -> None:
    assert decide(candidates=ranked((1, 0.655), (2, 0.645)), threshold=THRESHOLD).outcome == "ambiguous"


def test_two_templates_of_one_person_are_no_contradiction() -> None:
    both = [candidate(1, 0.9, template=1), candidate(1, 0.9, template=2)]
    assert decide(candidates=both, threshold=THRESHOLD).outcome == "match"
    decision = decide(candidates=[*both, candidate(2, 0.9, template=3)], threshold=THRESHOLD)
    assert decision.outcome == "ambiguous"
    assert decision.runner_up == candidate(2, 0.9, template=3)


@pytest.mark.parametrize("scores", [[NAN], [NAN, 0.9], [NAN, NAN]])
def test_a_score_that_is_no_number_recognises_nobody(scores: list[float]) -> None:
    found = [candidate(number, score) for number, score in enumerate(scores)]
    assert decide(candidates=found, threshold=THRESHOLD).outcome == "no_match"


def test_a_runner_up_that_is_no_number_tells_nobody_apart() -> None:
    found = [candidate(1, 0.9), candidate(2, NAN)]
    assert decide(candidates=found, threshold=THRESHOLD).outcome == "ambiguous"


def test_a_threshold_that_is_no_number_lets_nobody_pass() -> None:
    assert decide(candidates=[candidate(1, 1.0)], threshold=NAN).outcome == "no_match"


@given(scores=people_and_scores, threshold=SIMILARITY)
def test_only_a_clear_best_is_named(scores: list[tuple[int, float]], threshold: float) -> None:
    decision = decide(candidates=ranked(*scores), threshold=threshold)
    best = max((score for _, score in scores), default=None)
    if best is None or best < threshold:
        assert decision.outcome == "no_match"
        return
    assert decision.best is not None
    assert decision.best.score == best
    others = [score for person, score in scores if UUID(int=person) != decision.best.person_id]
    clear = all(best - score >= MARGIN_MIN for score in others)
    assert decision.outcome == ("match" if clear else "ambiguous")


@given(scores=people_and_scores, again=st.integers(0, 7))
def test_a_second_template_of_a_person_changes_nothing(scores: list[tuple[int, float]], again: int) -> None:
    one = decide(candidates=ranked(*scores), threshold=THRESHOLD)
    twice = decide(candidates=ranked(*scores, *scores[again : again + 1]), threshold=THRESHOLD)
    assert (one.outcome, one.best) == (twice.outcome, twice.best)


@given(
    base=st.floats(min_value=0.01, max_value=1),
    sizes=st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)).map(sorted),
)
def test_the_threshold_grows_with_the_gallery_and_is_never_below_what_was_set(base: float, sizes: list[int]) -> None:
    small, large = (identification_threshold(base=base, gallery_size=size) for size in sizes)
    assert base <= small <= large <= max(base, THRESHOLD_MAX)


def test_ten_times_as_many_people_cost_one_hundredth() -> None:
    assert identification_threshold(base=0.65, gallery_size=0) == 0.65
    assert identification_threshold(base=0.65, gallery_size=1) == 0.65
    assert identification_threshold(base=0.65, gallery_size=100_000) == pytest.approx(0.70)
    assert identification_threshold(base=0.975, gallery_size=100_000) == THRESHOLD_MAX


def text(*values: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=64, max_size=80))
def test_a_vector_comes_out_as_it_went_in(values: list[float]) -> None:
    if any(values):
        assert struct.unpack(f"<{len(values)}f", decode_vector(text(*values))) == tuple(values)
    else:
        with pytest.raises(InvalidVector):
            decode_vector(text(*values))


@pytest.mark.parametrize("count", [64, 2048])
def test_the_shortest_and_the_longest_vector_pass(count: int) -> None:
    assert len(decode_vector(text(*[1.0] * count))) == 4 * count


@pytest.mark.parametrize(
    "refused",
    [
        "",
        "not base64!",
        "\u00e9" * 344,
        text(*[1.0] * 64)[:-1],
        text(*[1.0] * 64) + "\n",
        " " + text(*[1.0] * 64),
        text(*[1.0] * 63),
        text(*[1.0] * 2049),
        base64.b64encode(bytes(range(1, 256)) + b"\x01\x02").decode(),
        text(*[0.0] * 64),
        text(*[0.0] * 32, *[-0.0] * 32),
        text(*[1.0] * 63, NAN),
        text(*[1.0] * 63, math.inf),
        text(*[1.0] * 63, -math.inf),
    ],
)
def test_what_is_not_a_vector_is_refused(refused: str) -> None:
    with pytest.raises(InvalidVector):
        decode_vector(refused)


@given(st.text(max_size=400))
def test_any_text_is_a_vector_or_refused(given_text: str) -> None:
    try:
        raw = decode_vector(given_text)
    except InvalidVector:
        return
    assert 64 * 4 <= len(raw) <= 2048 * 4
    assert len(raw) % 4 == 0
