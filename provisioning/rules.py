"""The order of a flow's steps."""

from __future__ import annotations

from collections.abc import Iterable

DONE = "done"


def next_step(steps: Iterable[str], step: str) -> str:
    """The step after `step`, DONE after the last. Raises ValueError when `steps` does not have it."""
    order = list(steps)
    position = order.index(step) + 1
    return order[position] if position < len(order) else DONE
