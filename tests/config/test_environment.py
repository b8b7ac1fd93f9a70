"""Missing or contradictory settings stop the start, with one line for each fault and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from config import reference
from tests.harness import environment

GOOD = {
    "KEYSTEAD_ENVIRONMENT": "development",
    "KEYSTEAD_BASE_URL": "http://localhost:8000",
    "KEYSTEAD_DATABASE_URL": "postgresql://ks_app:x@localhost/keystead",
    "KEYSTEAD_REDIS_URL": "redis://localhost",
    "KEYSTEAD_SECRET_KEY": "0123456789abcdef0123456789abcdef",
    "KEYSTEAD_KMS_URL": "file:///keys",
    "KEYSTEAD_MATCHER_URL": "http://localhost:8100",
    "KEYSTEAD_BLOB_URL": "file:///blobs",
}


def start(**changes: str | None) -> tuple[int, list[str]]:
    """Load the settings in a process of its own; its exit status and what it said."""
    wanted = {**GOOD, **{f"KEYSTEAD_{name}": value for name, value in changes.items()}}
    child = {name: value for name, value in os.environ.items() if not name.startswith("KEYSTEAD_")}
    child |= {name: value for name, value in wanted.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", "import config.settings"],
        cwd=environment.ROOT,
        env=child,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()


def test_good_settings_start() -> None:
    assert start() == (0, [])


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"BASE_URL": None}, "  KEYSTEAD_BASE_URL: is missing"),
        ({"DATABASE_URL": None}, "  KEYSTEAD_DATABASE_URL: is missing"),
        ({"SECRET_KEY": "short"}, "  KEYSTEAD_SECRET_KEY: must have at least 32 characters"),
        ({"ENVIRONMENT": "production"}, "  KEYSTEAD_BASE_URL: must be https in production"),
        (
            {"ENVIRONMENT": "production", "BASE_URL": "https://a.example", "WEBHOOK_ALLOW_PRIVATE": "true"},
            "  KEYSTEAD_WEBHOOK_ALLOW_PRIVATE: contradicts KEYSTEAD_ENVIRONMENT=production",
        ),
        (
            {"TRUSTED_PROXIES": "10.0.0.0/8,proxy.internal"},
            "  KEYSTEAD_TRUSTED_PROXIES: proxy.internal is not a network such as 10.0.0.0/8",
        ),
        (
            {"BASE_URL": "http://localhost:8000/path"},
            "  KEYSTEAD_BASE_URL: must be a scheme and a host, with a port if need be, and nothing after it",
        ),
    ],
)
def test_a_fault_is_one_line(changes: dict[str, str | None], line: str) -> None:
    status, said = start(**changes)
    assert status == 2
    assert said[0] == "Keystead cannot start:"
    assert line in said
    assert not any("Traceback" in one for one in said)


def test_every_fault_has_its_line_and_no_secret_is_shown() -> None:
    status, said = start(BASE_URL=None, REDIS_URL=None, SECRET_KEY="tooshortsecret")
    assert status == 2
    assert len([one for one in said if one.startswith("  KEYSTEAD_")]) == 3
    assert "tooshortsecret" not in "\n".join(said)


def test_the_page_of_settings_names_every_one() -> None:
    assert (environment.ROOT / "docs" / "settings.md").read_text() == reference.render()
