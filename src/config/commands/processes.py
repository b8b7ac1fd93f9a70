"""Long-running processes that are not served by another program."""

from __future__ import annotations

import click

from config.terminal import err, set_up_django


@click.command()
def relay() -> None:
    """Hand committed messages to the workers, until SIGTERM or Ctrl-C."""
    set_up_django()
    from engine.outbox import relay as outbox_relay

    err.print("relay is ready")
    outbox_relay.run()
