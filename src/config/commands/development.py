"""Commands that run the platform on one machine. They configure everything themselves."""

from __future__ import annotations

import os
from pathlib import Path

import click

from config.terminal import err, fail


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
