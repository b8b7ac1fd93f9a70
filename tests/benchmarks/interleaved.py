"""Rounds that take turns, so that what else the machine does hits every variant alike."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

ROUNDS_MIN = 9


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio that has to reach `floor`; `target` is what we are after."""

    name: str
    value: float
    floor: float
    target: float

    def as_json(self) -> dict[str, float | bool]:
        return {
            "value": round(self.value, 3),
            "floor": self.floor,
            "target": self.target,
            "ok": self.value >= self.floor,
        }


def rounds(
    variants: Mapping[str, Callable[[], float]], *, count: int, progress: Callable[[str], None]
) -> dict[str, list[float]]:
    """Run every variant `count` times, taking turns and reversing the order each round."""
    if count < ROUNDS_MIN:
        raise ValueError(f"a median of fewer than {ROUNDS_MIN} rounds says little")
    results: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(count):
        order = list(variants) if number % 2 == 0 else list(reversed(variants))
        for name in order:
            results[name].append(variants[name]())
        progress(f"round {number + 1}/{count}: " + ", ".join(f"{n} {results[n][-1]:.0f}" for n in variants))
    return results


def median_ratio(over: list[float], under: list[float]) -> float:
    """The median of the rounds' own ratios: both sides of each met the same machine."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def spread(first: list[float], again: list[float]) -> dict[str, float]:
    """What the same thing measured twice differs by: a ratio closer to 1 than this says nothing."""
    ratios = [a / b for a, b in zip(again, first, strict=True)]
    return {
        "min": round(min(ratios), 3),
        "median": round(statistics.median(ratios), 3),
        "max": round(max(ratios), 3),
    }


def report(*, name: str, figures: Mapping[str, object], ratios: list[Ratio]) -> None:
    """Print the one JSON line and leave: 0 when every floor is reached, 1 otherwise."""
    ok = all(ratio.value >= ratio.floor for ratio in ratios)
    line = {
        "name": name,
        "figures": figures,
        "ratios": {ratio.name: ratio.as_json() for ratio in ratios},
        "load_average_1_min": round(os.getloadavg()[0], 2),
        "cores": os.cpu_count(),
        "ok": ok,
    }
    print(json.dumps(line))
    sys.exit(0 if ok else 1)
