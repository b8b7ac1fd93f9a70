"""Commands that run the platform on one machine. They configure everything themselves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from config.terminal import err, fail, out


@click.command()
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".keystead"),
    show_default=True,
    help="Folder of data, keys and logs.",
)
def up(state: Path) -> None:
    """Run everything on this machine until Ctrl-C, and say where it is."""
    from devkit import up as everything
    from devkit.errors import CannotRun

    try:
        everything.run(state_dir=state, environ=os.environ, console=err)
    except CannotRun as error:
        fail(str(error))


@click.command()
@click.option("--keep", is_flag=True, help="Keep the state folder, to look at it afterwards.")
def demo(*, keep: bool) -> None:
    """Run the whole story with real processes, check each claim, and stop everything again."""
    from devkit import demo as story
    from devkit.errors import CannotRun

    try:
        held = story.run(state_dir=Path(".keystead") / "demo", keep=keep, console=out)
    except CannotRun as error:
        fail(str(error))
    if not held:
        sys.exit(1)
