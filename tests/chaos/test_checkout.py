"""The crash suite of checkouts at the size that fits into the test run; `make chaos NAME=checkout` is the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.checkout import Size, run
from tests.chaos.report import seed

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("stack")]


def test_everything_is_killed_once_and_nothing_is_lost(tmp_path: Path) -> None:
    size = Size(checkouts=24, devices=4, people=6, kills_per_victim=1, pause_s=0.5, pace_s=3.0)
    report = run(size=size, number=seed(), state_dir=tmp_path, say=False)
    assert report.ok, report.line()
