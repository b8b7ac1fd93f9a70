"""What each step of each flow does, in order. Every one of them may run twice.

A module for each kind, with its `STEPS`; the order of the mapping is the order of the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from provisioning.models import Flow, FlowKind
from provisioning.rules import Wait
from provisioning.steps import backup, create, offboard, restore, suspend

Step = Callable[[Flow], Wait | None]

STEPS: dict[FlowKind, Mapping[str, Step]] = {
    FlowKind.CREATE: create.STEPS,
    FlowKind.SUSPEND: suspend.SUSPEND,
    FlowKind.RESUME: suspend.RESUME,
    FlowKind.OFFBOARD: offboard.STEPS,
    FlowKind.BACKUP: backup.STEPS,
    FlowKind.RESTORE: restore.STEPS,
}
