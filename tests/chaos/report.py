"""The one JSON line that every chaos suite ends with."""

from __future__ import annotations

import json
import os
import secrets
import sys
from dataclasses import dataclass, field
from typing import Any, NoReturn


@dataclass(slots=True)
class Report:
    """Promises with their figures, the seed that repeats the run, and what was done."""

    name: str
    seed: int
    counts: dict[str, Any] = field(default_factory=dict)
    promises: dict[str, dict[str, Any]] = field(default_factory=dict)

    def promise(self, text: str, kept: bool, *, figure: Any) -> None:
        """Note whether a promise was kept, and the figure that says so."""
        self.promises[text] = {"figure": figure, "ok": kept}

    @property
    def ok(self) -> bool:
        return bool(self.promises) and all(one["ok"] for one in self.promises.values())

    def line(self) -> str:
        return json.dumps(
            {
                "name": self.name,
                "seed": self.seed,
                "counts": self.counts,
                "promises": self.promises,
                "ok": self.ok,
            }
        )

    def end(self) -> NoReturn:
        """Print the line and leave: 1 when a promise was broken."""
        print(self.line())
        sys.exit(0 if self.ok else 1)


def seed() -> int:
    """SEED of the environment, else a new one; it is printed either way."""
    given = os.environ.get("SEED")
    return int(given) if given else secrets.randbits(32)
