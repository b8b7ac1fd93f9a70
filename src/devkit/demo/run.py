"""The main job from an empty platform to a signed webhook, as outsiders would do it.

Everything goes through the command line, the SDK, a device's socket and a webhook receiver. Two
steps look behind the API, and say so: the provider sandbox is asked what it really charged, and a
thief who holds the database and the key service tries to open an erased template.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from rich.console import Console

from devkit.demo import chapters
from devkit.demo.receiver import Receiver
from devkit.demo.story import Story
from devkit.stack import Stack
from devkit.up import ended_by_signals, narrator
from keystead import KeysteadError


def run(*, state_dir: Path, keep: bool, console: Console) -> bool:
    """Tell the story; whether every claim held. Raises CannotRun when the platform does not start.

    The services' data stay in `state_dir`, so that a second run starts in seconds; each run makes
    organizations of its own. keep: leave the state folder of a failed run as it is.
    """
    story = Story(console)
    console.print("[bold]Keystead, from an empty platform to a signed webhook[/]")
    console.print("[dim]Real PostgreSQL, real Valkey, seven real processes; the first run takes longest.[/]\n")
    run_id = secrets.token_hex(3)
    everything = Stack(state_dir, volatile=True, environ=os.environ, tell=narrator(console))
    with ended_by_signals(), everything.up() as stack, Receiver().listening() as back_office:
        try:
            chapters.tell(story, stack=stack, back_office=back_office, run_id=run_id)
        except KeysteadError as error:
            story.claim("The story can be told to its end", False, seen=str(error))
    held = story.end()
    if held and not keep:
        shutil.rmtree(state_dir / "logs", ignore_errors=True)
    if not held:
        console.print(f"[dim]logs: {state_dir / 'logs'}[/]")
    return held
