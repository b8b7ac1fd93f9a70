"""What each step of each flow does, in order. Every one of them may run twice.

A module for each kind, with its `STEPS`; the order of the mapping is the order of the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from provisioning.models import Flow, FlowKind
from provisioning.steps import create

Step = Callable[[Flow], None]

STEPS: dict[FlowKind, Mapping[str, Step]] = {
    FlowKind.CREATE: create.STEPS,
}
