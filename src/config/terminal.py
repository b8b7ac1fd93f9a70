"""How the command line speaks: results on standard output, everything else on standard error."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def fail(message: str, *, status: int = 1) -> NoReturn:
    """Say what is wrong and stop."""
    err.print(f"[red]error:[/] {message}", soft_wrap=True)
    sys.exit(status)


def set_up_django() -> None:
    """Load settings and apps, for commands that need them."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
