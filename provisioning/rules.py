"""The steps of each flow, in order."""

from __future__ import annotations

CREATE_STEPS = ("schema", "keys", "defaults", "invite", "activate")
DONE = "done"


def next_step(step: str) -> str:
    """The step after `step` of the create flow, DONE after the last."""
    position = CREATE_STEPS.index(step) + 1
    return CREATE_STEPS[position] if position < len(CREATE_STEPS) else DONE
