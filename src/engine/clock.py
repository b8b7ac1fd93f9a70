"""Time as an argument, so that a test can say what time it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
"""Answers the present moment, aware and in UTC. Service functions take ``clock: Clock = utc_now``."""


def utc_now() -> datetime:
    """The present moment of this machine, aware, in UTC."""
    return datetime.now(UTC)
