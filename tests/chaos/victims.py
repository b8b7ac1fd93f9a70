"""Processes that run a flow and are killed with -9 at a given moment: `python -m tests.chaos.victims`.

Loads the platform once and then forks a process for each line on standard input, because loading it
anew for each of a hundred deaths would take most of the time. It opens no connection itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.harness import environment

BEFORE, AFTER = "before", "after"
"""The act of a step. Any other moment is a number of milliseconds after the step has begun."""


@dataclass(slots=True)
class Victims:
    """The process that forks them."""

    process: subprocess.Popen[str]

    def run(self, flow_id: UUID, *, step: str = "", moment: str = "") -> int:
        """Advance a flow in a process of its own, killed there; its exit status, -9 when it was killed."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("started with pipes")
        print(json.dumps({"flow": str(flow_id), "step": step, "moment": moment}), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


@contextmanager
def victims(settings: Mapping[str, str]) -> Iterator[Victims]:
    """Start it with the KEYSTEAD_* `settings`, and stop it at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.victims"],
        cwd=environment.ROOT,
        env={**os.environ, **settings, "PYTHONPATH": os.pathsep.join((str(environment.ROOT), "src"))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Victims(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait(timeout=30)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from provisioning import flows, rules, schemas

    # Nobody else is here who would have to hear of anything.
    rules.HEARD_EVERYWHERE = timedelta(0)

    # Read once here, and not in every child.
    schemas.fingerprint()
    if not flows.STEPS:
        raise RuntimeError("no flows")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _live_and_die(**json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _live_and_die(*, flow: str, step: str, moment: str) -> None:
    try:
        from provisioning import flows

        if step:
            for steps in flows.STEPS.values():
                if step in steps:
                    _make_deadly(flows.STEPS, step, moment)
        flows.advance(flow_id=UUID(flow))
    except BaseException as error:  # whatever it is, the parent is told by the status
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        os._exit(1)
    os._exit(0)


def _make_deadly(all_steps: Any, step: str, moment: str) -> None:
    for kind, steps in all_steps.items():
        if step not in steps:
            continue
        real = steps[step]

        def deadly(row: Any, real: Any = real) -> None:
            if moment == BEFORE:
                _die()
            if moment != AFTER:
                threading.Timer(float(moment) / 1000, _die).start()
            real(row)
            # Who was too quick for the timer dies here all the same.
            _die()

        all_steps[kind] = {**steps, step: deadly}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
