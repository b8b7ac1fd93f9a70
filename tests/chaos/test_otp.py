"""The attack on one-time codes at the size that fits into the test run; `make chaos NAME=otp` is the whole."""

from __future__ import annotations

from typing import Any

import pytest

from shared.accounts import ceremonies
from tests.chaos.otp import run
from tests.chaos.report import seed
from tests.harness.live import LiveDatabase

pytestmark = pytest.mark.chaos

SMALL = {"guesses": 160, "addresses": 40, "sign_ins": 8}


def test_guessing_gets_nowhere_and_the_owner_gets_in(live_db: LiveDatabase) -> None:
    report = run(**SMALL, number=seed())
    assert report.ok, report.line()


def test_planted_a_count_that_is_not_kept_is_noticed(live_db: LiveDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = ceremonies.attempt

    def forgetful(*, token: str, **more: Any) -> Any:
        row = counted(token=token, **more)
        type(row).objects.filter(id=row.id).update(attempts=0)
        return row

    monkeypatch.setattr(ceremonies, "attempt", forgetful)
    report = run(**SMALL, number=seed())
    assert not report.promises["at most 5 codes are evaluated for a sign-in whose password was right"]["ok"]
