"""The `keystead` command.

Commands are grouped by who uses them; each group is a module of config.commands. Django is set up
only by those that need it, so that `demo`, `up` and `--help` work before anything is configured.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from config.terminal import fail

# Group or command -> module and attribute. Imported when it is asked for.
_COMMANDS = {
    "asyncapi": "config.commands.documents:asyncapi",
    "audit": "config.commands.audit:audit",
    "bake": "config.commands.migrations:bake",
    "check": "config.commands.migrations:check",
    "database": "config.commands.migrations:database",
    "demo": "config.commands.development:demo",
    "drift": "config.commands.fleet:drift",
    "fleet": "config.commands.fleet:fleet",
    "migrate": "config.commands.fleet:migrate",
    "openapi": "config.commands.documents:openapi",
    "operator": "config.commands.operators:operator",
    "org": "config.commands.organizations:org",
    "outbox": "config.commands.background:outbox",
    "permissions": "config.commands.documents:permissions",
    "plan": "config.commands.organizations:plan",
    "pool": "config.commands.pool:pool",
    "relay": "config.commands.processes:relay",
    "settings": "config.commands.documents:settings_reference",
    "up": "config.commands.development:up",
    "verify": "config.commands.background:verify",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = _COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
def keystead() -> None:
    """Keystead: identity and payments for many organizations."""


def main() -> None:
    """Run the command line. Errors that have a remedy are told in a line, not in a traceback."""
    try:
        keystead(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        # Imported late: `--help` and the like need neither Django nor a database driver.
        from config import faults

        told = faults.explain(error)
        if told is None:
            raise
        fail(told)


if __name__ == "__main__":
    main()
