"""A migration that adds a column which nobody had before, for either design."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from tests.harness.planted import Planted

TABLE = "sites_site"


class Columns:
    """Planted migrations of one process, for as long as it lives."""

    def __init__(self) -> None:
        folder = Path(os.environ["BENCH_FOLDER"], f"planted-{os.getpid()}")
        folder.mkdir()
        self._planted = Planted(folder)
        self._stack = ExitStack()
        self._stack.enter_context(self._planted.installed())
        self._count = 0

    def plant(self) -> str:
        """The name of a column that every organization now lacks."""
        self._count += 1
        name = f"planted_{self._count}"
        self._planted.add(
            f"{900 + self._count:04}_pre_{name}",
            f'migrations.AddField("site", "{name}", models.CharField(max_length=40, null=True)),',
        )
        return name
