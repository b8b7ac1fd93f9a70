"""How the command line speaks: results on standard output, everything else on standard error."""

from __future__ import annotations

import getpass
import os
import sys
from typing import NoReturn
from uuid import UUID

from rich.console import Console
from rich.markup import escape

from engine.principals import Principal

# What reads a pipe wants whole words; only a person's terminal has a width to keep to.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 1_000)
err = Console(stderr=True, highlight=False)


def fail(message: str, *, status: int = 1) -> NoReturn:
    """Say what is wrong and stop."""
    err.print(f"[red]error:[/] {escape(message)}", soft_wrap=True)
    sys.exit(status)


def at_the_terminal() -> Principal:
    """Whoever types commands, for logs: the platform itself, by the name that the machine knows."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        # A container's user need not have an entry in its passwd.
        name = str(os.getuid())
    return Principal(kind="system", id=UUID(int=0), display=f"command line ({name})")


def set_up_django() -> None:
    """Load settings and apps, for commands that need them."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
