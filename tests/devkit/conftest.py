from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.devkit.processes import AS_NOBODY, Who, can_become_nobody


def _whos() -> list[Who]:
    if os.geteuid() != 0:
        return [Who("ordinary-user", (), sys.executable, "self")]
    whos = [Who("root-in-namespace", (), sys.executable, "userns"), Who("root-drops", (), sys.executable, "nobody")]
    if can_become_nobody and (python := _python_for_nobody()):
        whos.append(Who("ordinary-user", AS_NOBODY, python, "self"))
    return whos


def _python_for_nobody() -> str | None:
    """An interpreter that nobody can run, and run again: ours often lies in root's home."""
    check = (
        "import subprocess, sys; subprocess.check_call([sys.executable, '-c', '']); assert sys.version_info >= (3, 11)"
    )
    for candidate in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")):
        if candidate is not None:
            command = [*AS_NOBODY, candidate, "-c", check]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return candidate
    return None


@pytest.fixture(scope="module", params=_whos(), ids=lambda who: who.name)
def who(request: pytest.FixtureRequest) -> Who:
    return request.param


@pytest.fixture
def who_ever() -> Who:
    """One of them, for what does not depend on the user."""
    return _whos()[0]


@pytest.fixture(scope="module")
def home(who: Who) -> Iterator[Path]:
    """A state folder that the user can reach, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="keystead-devkit-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        if who.prefix:
            os.chown(folder, 65534, 65534)
        yield folder
