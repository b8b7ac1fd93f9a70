"""The order of a flow's steps, and waiting in the middle of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

DONE = "done"

HEARD_EVERYWHERE = timedelta(seconds=5)
"""Within this every process has heard that an organization is closed, or open; sockets are closed."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What a step answers when it cannot go on yet: it will be run again, and looks again."""

    until: datetime | None
    """None: until a person does something, who then calls `flows.wake`."""


def next_step(steps: Iterable[str], step: str) -> str:
    """The step after `step`, DONE after the last. Raises ValueError when `steps` does not have it."""
    order = list(steps)
    position = order.index(step) + 1
    return order[position] if position < len(order) else DONE
