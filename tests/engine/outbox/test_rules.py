from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.outbox import rules


@given(st.integers(min_value=1, max_value=10_000), st.floats(min_value=0, max_value=1))
def test_a_backoff_is_never_nothing_and_never_above_the_cap(attempts, fraction):
    delay = rules.backoff(attempts=attempts, base_seconds=0.5, cap_seconds=300, fraction=fraction)
    assert 0.25 <= delay.total_seconds() <= 300


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 0.5), (2, 1), (3, 2), (11, 300)])
def test_a_backoff_doubles(attempts, seconds):
    delay = rules.backoff(attempts=attempts, base_seconds=0.5, cap_seconds=300, fraction=1)
    assert delay.total_seconds() == seconds


def test_an_error_without_a_traceback_still_has_a_name():
    assert rules.describe_error(ValueError("secret")) == "builtins.ValueError"
