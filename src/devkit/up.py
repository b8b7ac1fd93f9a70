"""`keystead up`: everything running until Ctrl-C, with addresses and sign-ins."""

from __future__ import annotations

import contextlib
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape

from devkit import welcome
from devkit.errors import CannotRun
from devkit.servers import write_private
from devkit.stack import Stack
from devkit.welcome import Welcome

LOOK_EVERY_SECONDS = 0.5
PROXY_NAMES = ("NO_PROXY", "no_proxy")


def run(*, state_dir: Path, environ: Mapping[str, str], console: Console) -> None:
    """Bring the platform up, say where it is, and stay until interrupted. Raises CannotRun.

    environ: KEYSTEAD_* in it point at real servers or replace settings.
    """
    with contextlib.suppress(KeyboardInterrupt), ended_by_signals():
        tell = narrator(console)
        with Stack(state_dir, usual_ports=True, environ=environ, tell=tell).up() as stack:
            tell("looking for the organization acme")
            try:
                visitor = welcome.prepare(stack)
            except CannotRun as error:
                # A database of the caller's own may hold an acme whose sign-ins this folder does not know.
                console.print(f"[yellow]no sign-in is known: {escape(str(error))}[/]")
                visitor = None
            write_environment(stack)
            show(stack, visitor, console)
            try:
                _stay(stack, console)
            finally:
                console.print("\nstopping ...")
    console.print("everything has stopped")


def narrator(console: Console) -> Callable[[str], None]:
    """Says what is being done, and how long after the start."""
    start = time.monotonic()

    def tell(what: str) -> None:
        console.print(f"[dim]{time.monotonic() - start:6.1f} s[/]  {escape(what)}")

    return tell


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within it, SIGTERM and SIGHUP end the program as Ctrl-C does: everything is stopped in order."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def environment_file(stack: Stack) -> Path:
    """Where a shell finds what the command line needs."""
    return stack.state_dir / "env"


def write_environment(stack: Stack) -> None:
    """Write the command line's environment, owner's login included, for a shell to read."""
    variables = stack.configuration.environment("cli", owner=True)
    # Nothing of our own environment but what keeps a proxy away from loopback.
    mine = {name: variables[name] for name in sorted(variables) if name.startswith("KEYSTEAD_") or name in PROXY_NAMES}
    lines = ["# Written by `keystead up` at each start, for the shell of whoever runs commands."]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in mine.items()]
    write_private(environment_file(stack), "\n".join(lines))


def show(stack: Stack, visitor: Welcome | None, console: Console) -> None:
    """Print addresses, sign-ins and something to try."""
    slug = welcome.SLUG
    rows = [
        ("organization", stack.url(slug)),
        ("its API, to read and try", f"{stack.url(slug)}/docs"),
        ("its devices connect to", f"{stack.gateway_url(slug)}/v1/gateway"),
        ("operators' API", f"{stack.platform_url}/docs"),
        ("operators' pages", f"{stack.platform_url}/admin/"),
        ("payment provider (sandbox)", stack.sandbox_url),
        ("logs", str(stack.state_dir / "logs")),
        ("mails, as they would be sent", str(stack.log("worker"))),
        ("for keystead commands", f". {shlex.quote(str(environment_file(stack)))}"),
    ]
    if visitor is not None:
        rows += [
            ("owner signs in with", f"{visitor.email}  {visitor.password}"),
            ("app (client credentials)", f"{visitor.client_id}  {visitor.client_secret}"),
            ("operator signs in with", f"{visitor.operator_email}  {visitor.operator_password}"),
            ("and an authenticator made of", visitor.operator_otpauth),
        ]
    console.print("\n[bold green]Keystead is up.[/]\n")
    for what, where in rows:
        console.print(f"[bold]{what:<30}[/]{escape(where)}", soft_wrap=True)
    if visitor is not None:
        token = welcome.sign_in(stack, email=visitor.email, password=visitor.password)
        console.print("\nTry it, as the owner:\n")
        line = f"  curl -s {stack.url(slug)}/v1/people -H 'Authorization: Bearer {token}'"
        console.print(line, soft_wrap=True, markup=False)
    console.print("\nCtrl-C stops everything.")


def _stay(stack: Stack, console: Console) -> None:
    while True:
        time.sleep(LOOK_EVERY_SECONDS)
        for name in stack.fallen():
            console.print(f"[yellow]{name} has ended; starting it again[/] (log: {stack.log(name)})")
            try:
                stack.restart(name)
            except CannotRun as error:
                console.print(f"[red]{escape(str(error))}[/]")
