"""Migrations that the product does not have, behind those that it has."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from pathlib import Path
from uuid import uuid4

from django.test.utils import override_settings

from provisioning import schemas

_HEAD = """
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = {atomic}
    dependencies = [("{app}", "{before}")]
    operations = [
{operations}
    ]
"""


class Planted:
    """An app's migrations with more behind them, in a package of its own under `folder`."""

    def __init__(self, folder: Path, *, app: str = "sites", origin: str = "tenants.sites.migrations") -> None:
        self.app = app
        self.folder = folder
        self.package = f"planted_{uuid4().hex}"
        self._extra = folder / self.package / "more"
        self._extra.mkdir(parents=True)
        paths = [*import_module(origin).__path__, str(self._extra)]
        (folder / self.package / "__init__.py").write_text(f"__path__ = {paths!r}\n")
        self.last = max(file.stem for file in Path(paths[0]).glob("[0-9]*.py"))

    def add(self, name: str, operations: str, *, atomic: bool = True) -> tuple[str, str]:
        """Write a migration behind the last one."""
        self._extra.joinpath(f"{name}.py").write_text(
            _HEAD.format(
                atomic=atomic,
                app=self.app,
                before=self.last,
                operations=textwrap.indent(textwrap.dedent(operations).strip(), "        "),
            )
        )
        self.last = name
        forget()
        return self.app, name

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let Django find them in this process."""
        sys.path.insert(0, str(self.folder))
        try:
            with override_settings(MIGRATION_MODULES={self.app: self.package}):
                forget()
                yield
        finally:
            sys.path.remove(str(self.folder))
            forget()

    def settings_module(self) -> dict[str, str]:
        """What lets another process find them, as its environment."""
        name = f"{self.package}_settings"
        (self.folder / f"{name}.py").write_text(
            f"from config.settings import *\n\nMIGRATION_MODULES = {{{self.app!r}: {self.package!r}}}\n"
        )
        return {"DJANGO_SETTINGS_MODULE": name, "PYTHONPATH": str(self.folder)}


def forget() -> None:
    """Look at the migrations anew."""
    invalidate_caches()
    schemas.fingerprint.cache_clear()
    schemas._contents.cache_clear()
