"""Revocations at the size that fits into the test run; `make chaos NAME=revocation` is the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.report import Report, seed
from tests.chaos.revocation import Size, _promise_ends, run

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("stack")]


def test_who_was_shut_out_is_heard_no_more_and_nothing_overheard_is_worth_anything(tmp_path: Path) -> None:
    size = Size(devices=3, bystanders=1, replays=5, pause_s=0.2)
    report = run(size=size, number=seed(), state_dir=tmp_path, say=False)
    assert report.ok, report.line()


def test_planted_a_device_that_is_heard_for_longer_breaks_the_promise() -> None:
    report, late = Report(name="revocation", seed=1), {"answered_s": 5.1, "worked_s": 0.0, "request_s": 0.1}
    _promise_ends(report, [late], [late])
    assert [one["ok"] for one in report.promises.values()] == [False, True]
