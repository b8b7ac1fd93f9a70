"""A process that runs flows and dies in the middle of them, as often as it is asked to.

Django is loaded once; each run is a fork of it, with connections of its own. Reads lines of
`<flow> <step> <before|after>`, lets the fork run the flow and kill -9 itself at that step, and answers
each with the signal that ended it. The step `none` lets it live.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import timedelta
from uuid import UUID


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from provisioning import flows, rules
    from provisioning.backups import settling
    from provisioning.models import Flow, FlowKind
    from provisioning.rules import Wait

    if "--at-once" in sys.argv:
        rules.HEARD_EVERYWHERE = timedelta(0)
        settling.probe_freshness = lambda: timedelta(0)

    def die_at(step: str, moment: str) -> None:
        real = flows.STEPS[FlowKind.RESTORE][step]

        def deadly(flow: Flow) -> Wait | None:
            waiting = real(flow) if moment == "after" else None
            if waiting is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return waiting

        flows.STEPS[FlowKind.RESTORE] = {**flows.STEPS[FlowKind.RESTORE], step: deadly}

    def run(flow_id: UUID) -> None:
        while True:
            try:
                done = flows.advance(flow_id=flow_id)
            except flows.FlowBusyError:
                # PostgreSQL has not noticed yet that the one before us is dead.
                time.sleep(0.05)
                continue
            if done.status != "waiting" or done.due_at is None:
                return
            time.sleep(max(0.05, done.due_at.timestamp() - time.time()))

    print("ready", flush=True)
    for line in sys.stdin:
        flow_id, step, moment = line.split()
        child = os.fork()
        if child == 0:
            if step != "none":
                die_at(step, moment)
            run(UUID(flow_id))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
