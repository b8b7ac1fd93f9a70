"""Vectors such as a face model would make: one direction per person, and probes close to it."""

from __future__ import annotations

import math
import random

MODALITY = "face"
MODEL = "demo-512"
DIMENSIONS = 512
# The cosine similarity of a probe with its person's reference; strangers are near 0.
LIKENESS = 0.93


class Face:
    """Somebody's face. `seed` decides whose."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._direction = self._unit()

    def reference(self) -> list[float]:
        """What enrolment captures."""
        return list(self._direction)

    def probe(self) -> list[float]:
        """What a terminal captures later: alike, never the same twice."""
        noise = self._unit()
        rest = math.sqrt(1 - LIKENESS**2)
        return [LIKENESS * a + rest * b for a, b in zip(self._direction, noise, strict=True)]

    def _unit(self) -> list[float]:
        values = [self._random.gauss(0, 1) for _ in range(DIMENSIONS)]
        length = math.sqrt(sum(value * value for value in values))
        return [value / length for value in values]
