"""How many frames a socket may send."""

from __future__ import annotations


class Budget:
    """A token bucket: `burst` at once, `per_second` in the long run. Times are a loop's seconds."""

    def __init__(self, *, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._left = float(burst)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Whether one more frame is within the budget at `now`."""
        if self._at is not None:
            self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
