"""The state machines: whatever order the facts come in, the same truth comes out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.payments import rules
from tenants.payments.rules import AttemptState, Do, Fact, OperationState, PaymentState

NOW = datetime(2030, 1, 1, tzinfo=UTC)
FACTS = st.lists(st.sampled_from(list(Fact)), max_size=8)


def _after(facts: list[Fact] | tuple[Fact, ...], state: AttemptState = AttemptState.CREATED) -> AttemptState:
    for fact in facts:
        state = rules.after_fact(state, fact)
    return state


class TestAttempts:
    @pytest.mark.parametrize(
        ("facts", "end"),
        [
            ((Fact.PLACED, Fact.CAPTURED), AttemptState.CAPTURED),
            ((Fact.PLACED, Fact.UNDECIDED, Fact.CAPTURED), AttemptState.CAPTURED),
            ((Fact.PLACED, Fact.AUTHORIZED, Fact.CAPTURED), AttemptState.CAPTURED),
            ((Fact.PLACED, Fact.AUTHORIZED, Fact.CANCELED), AttemptState.VOIDED),
            ((Fact.PLACED, Fact.REFUSED), AttemptState.REFUSED),
            ((Fact.PLACED, Fact.UNDECIDED, Fact.CANCELED), AttemptState.VOIDED),
        ],
    )
    def test_one_story_ends_the_same_in_any_order(self, facts: tuple[Fact, ...], end: AttemptState) -> None:
        """What a provider says of one charge, delivered in every order, by webhook and by answer."""
        for order in permutations(facts):
            if Fact.CANCELED in order and order.index(Fact.CANCELED) < len(order) - 1 and Fact.AUTHORIZED in order:
                # A late "authorized" after the end is old news.
                assert _after(order) in (end, AttemptState.VOIDED)
            else:
                assert _after(order) is end

    @given(FACTS, st.sampled_from(list(Fact)))
    def test_hearing_it_twice_changes_nothing(self, facts: list[Fact], fact: Fact) -> None:
        state = _after([*facts, fact])
        again = rules.after_fact(state, fact)
        assert again is state or (state, fact) == (AttemptState.PLACED, Fact.UNDECIDED)

    @given(FACTS)
    def test_taken_money_is_never_forgotten(self, facts: list[Fact]) -> None:
        end = _after(facts)
        if Fact.CAPTURED in facts:
            assert end in (AttemptState.CAPTURED, AttemptState.CONTRADICTED)

    @given(FACTS)
    def test_a_refused_attempt_is_never_live_again(self, facts: list[Fact]) -> None:
        end = _after(facts, AttemptState.REFUSED)
        assert end in (AttemptState.REFUSED, AttemptState.CONTRADICTED)
        assert end not in rules.LIVE_ATTEMPTS

    @given(FACTS)
    def test_undecided_alone_never_ends_an_attempt(self, facts: list[Fact]) -> None:
        state = _after(facts)
        if state in (AttemptState.PLACED, AttemptState.UNKNOWN):
            assert rules.after_fact(state, Fact.UNDECIDED) is AttemptState.UNKNOWN

    def test_only_an_undecided_attempt_goes_to_review(self) -> None:
        for state in AttemptState:
            undecided = state in (AttemptState.CREATED, AttemptState.PLACED, AttemptState.UNKNOWN)
            assert rules.after_review(state) is (AttemptState.NEEDS_REVIEW if undecided else state)


class TestOperations:
    @given(st.lists(st.sampled_from(list(OperationState)), max_size=8))
    def test_an_end_is_an_end(self, said: list[OperationState]) -> None:
        state = OperationState.CREATED
        for each in said:
            before, state = state, rules.after_operation(state, each)
            if before in (OperationState.REFUSED, OperationState.FAILED):
                assert state is before
            if before is OperationState.SUCCEEDED:
                assert state in (OperationState.SUCCEEDED, OperationState.FAILED)
            assert state is not OperationState.CREATED or not said or each is OperationState.CREATED


def _view(attempt: rules.AttemptView, *, age: timedelta = timedelta(), **fields: object) -> rules.View:
    return rules.View(created_at=NOW - age, attempts=1, attempt=attempt, **fields)  # type: ignore[arg-type]


ATTEMPTS = st.builds(
    rules.AttemptView,
    state=st.sampled_from(list(AttemptState)),
    sends=st.integers(0, 5),
    checks=st.integers(0, 50),
    elsewhere=st.booleans(),
)
OPERATIONS = st.lists(
    st.builds(
        rules.OperationView,
        index=st.just(0),
        state=st.sampled_from(sorted(rules.OPEN_OPERATIONS)),
        first_sent_at=st.none() | st.timedeltas(timedelta(), timedelta(days=3)).map(lambda ago: NOW - ago),
        has_reference=st.booleans(),
        checks=st.integers(0, 9),
    ),
    max_size=2,
)
VIEWS = st.builds(
    rules.View,
    created_at=st.timedeltas(timedelta(), timedelta(days=3)).map(lambda ago: NOW - ago),
    attempts=st.integers(1, 6),
    attempt=ATTEMPTS,
    next_check_at=st.none() | st.timedeltas(timedelta(hours=-1), timedelta(hours=1)).map(lambda off: NOW + off),
    another_account=st.booleans(),
    operations=OPERATIONS,
)


class TestNextStep:
    @given(VIEWS)
    def test_another_account_is_asked_after_a_proven_refusal_only(self, view: rules.View) -> None:
        step = rules.next_step(view, now=NOW)
        if step.do is Do.FAIL_OVER:
            assert view.attempt.state is AttemptState.REFUSED
            assert view.attempt.elsewhere
            assert view.attempts < rules.MAX_ATTEMPTS

    @given(VIEWS)
    def test_nothing_that_could_charge_is_sent_late(self, view: rules.View) -> None:
        step = rules.next_step(view, now=NOW)
        # Placing again, after a restore, takes no money: it finds out about a charge that may have been made.
        finds_again = step.do is Do.PLACE and view.attempt.sends > 0
        if step.do in (Do.PLACE, Do.CHARGE, Do.FAIL_OVER) and not finds_again:
            assert NOW - view.created_at < rules.CHARGE_WINDOW

    @given(VIEWS)
    def test_no_operation_is_sent_after_its_keys_lifetime(self, view: rules.View) -> None:
        step = rules.next_step(view, now=NOW)
        if step.do is Do.OPERATE:
            (operation, *_) = [each for each in view.operations if each.index == step.operation]
            sent = operation.first_sent_at
            assert sent is None or NOW - sent < timedelta(hours=24)

    def test_an_operation_whose_sender_died_is_not_sent_again_when_its_key_is_forgotten(self) -> None:
        def step(ago: timedelta) -> Do:
            operation = rules.OperationView(0, OperationState.CREATED, first_sent_at=NOW - ago)
            captured = rules.AttemptView(AttemptState.CAPTURED, sends=1)
            return rules.next_step(_view(captured, operations=[operation]), now=NOW).do

        assert step(timedelta(hours=1)) is Do.OPERATE
        assert step(timedelta(hours=25)) is Do.LOOK_UP_OPERATION
        assert step(timedelta(days=3)) is Do.REVIEW

    @given(VIEWS)
    def test_what_may_have_had_an_effect_is_never_expired(self, view: rules.View) -> None:
        if rules.next_step(view, now=NOW).do is Do.EXPIRE:
            assert view.attempt.state is AttemptState.CREATED or view.attempt.sends == 0

    @given(VIEWS)
    def test_an_ended_payment_is_left_alone(self, view: rules.View) -> None:
        ended = (AttemptState.CAPTURED, AttemptState.VOIDED, AttemptState.CONTRADICTED)
        if view.attempt.state in ended and not view.operations:
            assert rules.next_step(view, now=NOW) == rules.Step(Do.NOTHING)

    def test_silence_is_asked_about_again_then_looked_up_then_cancelled(self) -> None:
        def step(checks: int, age: timedelta) -> Do:
            attempt = rules.AttemptView(AttemptState.UNKNOWN, sends=1, checks=checks)
            return rules.next_step(_view(attempt, age=age), now=NOW).do

        assert [step(n, timedelta(minutes=1)) for n in range(3)] == [Do.CHARGE, Do.LOOK_UP, Do.CHARGE]
        assert [step(n, timedelta(hours=1)) for n in range(3)] == [Do.LOOK_UP, Do.CANCEL, Do.LOOK_UP]
        assert step(0, timedelta(hours=27)) is Do.REVIEW

    def test_a_restored_attempt_is_found_again_under_its_key_and_never_expires(self) -> None:
        def step(age: timedelta) -> Do:
            return rules.next_step(_view(rules.AttemptView(AttemptState.CREATED, sends=1), age=age), now=NOW).do

        assert [step(timedelta(hours=hours)) for hours in (0, 1, 22)] == [Do.PLACE] * 3
        assert step(timedelta(hours=24)) is Do.REVIEW

    def test_waiting_is_waiting(self) -> None:
        attempt = rules.AttemptView(AttemptState.UNKNOWN, sends=1)
        view = _view(attempt, next_check_at=NOW + timedelta(seconds=1))
        assert rules.next_step(view, now=NOW).do is Do.WAIT

    def test_a_sender_that_died_is_not_taken_for_one_that_never_sent(self) -> None:
        died = rules.AttemptView(AttemptState.PLACED, sends=1)
        never = rules.AttemptView(AttemptState.PLACED, sends=0)
        late = timedelta(hours=1)
        assert rules.next_step(_view(died, age=late), now=NOW).do is Do.LOOK_UP
        assert rules.next_step(_view(never, age=late), now=NOW).do is Do.EXPIRE


class TestPayments:
    @given(st.lists(st.sampled_from(list(AttemptState)), min_size=1, max_size=4), st.booleans())
    def test_failed_means_that_nothing_was_taken(self, states: list[AttemptState], failed: bool) -> None:
        if rules.payment_state(states, failed=failed) is PaymentState.FAILED:
            assert states[-1] is AttemptState.REFUSED
            assert AttemptState.CONTRADICTED not in states

    def test_a_contradiction_outranks_what_came_later(self) -> None:
        states = [AttemptState.CONTRADICTED, AttemptState.CAPTURED]
        assert rules.payment_state(states) is PaymentState.NEEDS_REVIEW

    def test_looks_grow_apart(self) -> None:
        delays = [rules.check_delay(checks) for checks in range(20)]
        assert delays == sorted(delays)
        assert delays[-1] == timedelta(hours=1)

    @pytest.mark.parametrize(("code", "elsewhere"), [("generic_decline", True), ("stolen_card", False)])
    def test_a_cards_own_refusal_stays_with_the_card(self, code: str, elsewhere: bool) -> None:
        assert rules.may_go_elsewhere(code) is elsewhere
