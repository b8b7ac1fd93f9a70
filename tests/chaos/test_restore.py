"""The suite of backup and restore at the size that fits into the test run; `make chaos NAME=restore` is the whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tenants.keyring import services as keyring
from tests.chaos.report import seed
from tests.chaos.restore import Size, run

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("stack")]


def test_one_of_six_is_lost_and_restored_and_nobody_notices_twice(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "EVICTION_SECONDS", 0.0)
    size = Size(organizations=6, people=3, load_s=0.3, pause_s=0.3, moments=("after",), at_once=True)
    with django_db_blocker.unblock():
        report = run(size=size, number=seed(), folder=tmp_path, say=False)
    assert report.ok, report.line()
