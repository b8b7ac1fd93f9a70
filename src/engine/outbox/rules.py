"""Pure arithmetic of the outbox. No Django."""

from __future__ import annotations

import traceback
from datetime import timedelta
from pathlib import PurePath


def backoff(*, attempts: int, base_seconds: float, cap_seconds: float, fraction: float) -> timedelta:
    """How long to wait before execution ``attempts`` + 1.

    Doubles with each attempt up to the cap. ``fraction`` (0..1, random) spreads the upper half, so that
    messages which failed together do not come back together, and none comes back at once.
    """
    full = min(cap_seconds, base_seconds * 2 ** min(attempts - 1, 32))
    return timedelta(seconds=full * (0.5 + 0.5 * fraction))


def describe_error(error: BaseException) -> str:
    """What went wrong and where, without the error's message: messages may quote secrets."""
    kind = type(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{kind.__module__}.{kind.__qualname__}{place}"[:500]
