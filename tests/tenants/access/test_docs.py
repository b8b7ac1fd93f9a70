"""docs/access.md says what the code does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.permissions import PERMISSIONS, DeclaredTwice, Permission, declare
from tenants.access import catalogue
from tenants.access.rules import Reason

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "access.md").read_text()


def test_the_catalogue_is_the_code_s() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "config.cli", "permissions", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_published_permission_that_goes_is_noticed() -> None:
    before = catalogue.published()
    assert catalogue.breaking_changes(before) == []
    before["permissions"] |= {"people.fly": {"since": 1, "kinds": ["member"]}}
    before["permissions"]["sites.read"] = {"since": 0, "kinds": ["member", "app", "device"]}

    assert catalogue.breaking_changes(before) == [
        "sites.read says that it came with version 1, not 0",
        "people.fly is gone",
    ]


def test_a_name_is_declared_once() -> None:
    declare(PERMISSIONS["sites.read"])
    with pytest.raises(DeclaredTwice):
        declare(Permission("sites.read", "Something else.", since=2))
    assert PERMISSIONS["sites.read"].since == 1


def test_every_reason_for_a_refusal_is_explained() -> None:
    for reason in Reason:
        if reason is not Reason.GRANTED:
            assert f"| `{reason}` |" in PAGE
