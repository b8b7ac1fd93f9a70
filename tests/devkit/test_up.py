"""`keystead up`, as a newcomer types it."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.devkit.processes import ROOT, await_nothing, mentioning

pytestmark = [pytest.mark.processes, pytest.mark.slow]


def test_up_says_where_everything_is_and_leaves_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "config.cli", "up", "--state", str(tmp_path)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("KEYSTEAD_")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl-C stops everything" in line:
                break
        assert "Keystead is up." in said
        assert re.search(r"organization +http://acme\.localhost:\d+", said)
        assert "owner@acme.example" in said
        assert "otpauth://totp/" in said
        assert _try(said) == 200
        assert "acme" in _command_with(tmp_path / "env", "org", "list")
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(60) == 0, rest
        assert "everything has stopped" in rest
    finally:
        process.kill()
        process.wait()
        left = await_nothing(str(tmp_path))
    assert left == mentioning(str(tmp_path)) == []


def _command_with(file: Path, *arguments: str) -> str:
    """What a command prints in a shell that has read the file."""
    assert file.stat().st_mode & 0o777 == 0o600
    line = f". {shlex.quote(str(file))} && exec {shlex.join([sys.executable, '-m', 'config.cli', *arguments])}"
    env = {name: value for name, value in os.environ.items() if not name.startswith("KEYSTEAD_")}
    return subprocess.run(["sh", "-c", line], cwd=ROOT, env=env, check=True, capture_output=True, text=True).stdout


def _try(said: str) -> int:
    """Do what the line with curl says, without curl."""
    line = next(line for line in said.splitlines() if line.strip().startswith("curl"))
    words = shlex.split(line)
    url = urlsplit(next(word for word in words if word.startswith("http")))
    name, _, value = words[words.index("-H") + 1].partition(": ")
    connection = http.client.HTTPConnection("127.0.0.1", url.port, timeout=20)
    connection.request("GET", url.path, headers={"Host": url.netloc, name: value})
    return connection.getresponse().status
