"""A child process that does one thing per line and answers with a line of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


class Child:
    """One variant on one database. `module` is named from tests.benchmarks on."""

    def __init__(self, module: str, **environment: str) -> None:
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"tests.benchmarks.{module}"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()
        self.start_ms = 1000 * (time.perf_counter() - began)

    def begin(self, command: str, *arguments: object) -> None:
        """Ask without waiting; `finish` waits."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([command, *arguments]) + "\n")
        self.process.stdin.flush()

    def finish(self) -> Any:
        return self._answer()

    def ask(self, command: str, *arguments: object) -> Any:
        self.begin(command, *arguments)
        return self.finish()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a variant ended with status {self.process.wait()}")
        return json.loads(line)


def serve(commands: Mapping[str, Callable[..., Any]]) -> None:
    """Answer until the other side is gone."""
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        print(json.dumps(commands[command](*arguments)), flush=True)
