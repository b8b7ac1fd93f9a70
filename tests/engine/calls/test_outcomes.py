from __future__ import annotations

import pytest

from engine.calls import NotSent, Outcome, Refused, Reply, Succeeded, Throttled, Unknown
from engine.calls.outcomes import classify, combined


@pytest.mark.parametrize(
    ("status", "kind", "may_have_effect"),
    [
        (200, Succeeded, True),
        (201, Succeeded, True),
        (302, Unknown, True),
        (400, Refused, False),
        (402, Refused, False),
        (404, Refused, False),
        (408, Unknown, True),
        (409, Unknown, True),
        (425, Unknown, True),
        (429, Throttled, False),
        (500, Unknown, True),
        (503, Unknown, True),
    ],
)
def test_a_status_says_whether_there_may_have_been_an_effect(
    status: int, kind: type[Outcome], may_have_effect: bool
) -> None:
    outcome = classify(Reply(status, {}, b""))
    assert isinstance(outcome, kind)
    assert outcome.may_have_effect is may_have_effect


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("", None), ("Wed, 21 Oct", None), ("9999999", None)])
def test_retry_after_is_read_in_seconds(value: str, seconds: float | None) -> None:
    outcome = classify(Reply(429, {"retry-after": value}, b""))
    assert isinstance(outcome, Throttled)
    assert outcome.retry_after_s == seconds


class TestSeveralSendings:
    silence = Unknown("ReadTimeout")

    def test_reaching_nobody_later_does_not_clear_an_earlier_silence(self) -> None:
        assert combined(NotSent("unreachable"), unknown=self.silence) is self.silence
        assert combined(Throttled(Reply(429, {}, b"")), unknown=self.silence) is self.silence

    def test_a_refusal_after_a_silence_says_so(self) -> None:
        assert combined(Refused(Reply(401, {}, b"")), unknown=self.silence) == Refused(Reply(401, {}, b""), True)

    def test_a_success_is_a_success(self) -> None:
        done = Succeeded(Reply(200, {}, b""))
        assert combined(done, unknown=self.silence) is done
        assert combined(NotSent("busy"), unknown=None) == NotSent("busy")
