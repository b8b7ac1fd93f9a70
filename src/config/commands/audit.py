"""Commands for platform staff and for auditors: the audit log of an organization, and its exports (docs/audit.md)."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from config.terminal import at_the_terminal, err, fail, out, set_up_django

_HEAD_HELP = "A head that was noted before, as this command prints it: nothing up to there may be missing."


@click.group()
def audit() -> None:
    """The audit log: verify, export, verify-export, release."""


@audit.command()
@click.argument("slug")
@click.option("--head", "noted", help=_HEAD_HELP)
def verify(slug: str, noted: str | None) -> None:
    """Walk the audit log of the organization SLUG; status 1 when a link is broken.

    Prints the head: keep it somewhere else, and show it with --head the next time.
    """
    context = _context(slug)
    from engine.tenancy.context import organization
    from tenants.audit import services

    with organization(context):
        found = services.verify(noted=_point(noted))
    if found.unsealed:
        err.print(f"without a number yet: {found.unsealed}, the oldest of {found.unsealed_since:%F %T} UTC")
    if not found.intact:
        fail(f"{slug}: broken at {found.broken_at}: {found.reason}")
    _tell_unseen(found.noted_seen)
    err.print(f"{slug}: intact up to number {found.sealed}")
    out.print(f"{found.sealed}:{found.head_hash.hex()}", soft_wrap=True)


@audit.command()
@click.argument("slug")
@click.option("--after", default=0, show_default=True, type=click.IntRange(0), help="The last number that you have.")
def export(slug: str, after: int) -> None:
    """Write the audit log of the organization SLUG to standard output, as lines of JSON that prove themselves."""
    context = _context(slug)
    from engine.tenancy.context import organization
    from tenants.audit import services

    with organization(context):
        lines = services.export(after=after, by=at_the_terminal())
    for line in lines:
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


@audit.command("verify-export")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--head", "noted", help=_HEAD_HELP)
def verify_export(files: tuple[Path, ...], noted: str | None) -> None:
    """Walk exported FILES, each going on where the one before it ends; status 1 when a link is broken.

    Needs neither the platform nor its settings.
    """
    from tenants.audit import exports

    with ExitStack() as opened:
        try:
            found = exports.verify([opened.enter_context(one.open("rb")) for one in files], noted=_point(noted))
        except exports.NotAnExport as error:
            fail(f"This is no export of an audit log: {error}.")
    if found.broken_at is not None:
        fail(f"{found.organization}: broken at {found.broken_at}: {found.reason}")
    _tell_unseen(found.noted_seen)
    if not found.whole:
        err.print(f"It begins behind {found.after}: compare that with the head of the file before it.", soft_wrap=True)
    err.print(f"{found.organization}: {found.entries} entries, intact", soft_wrap=True)
    out.print(str(found.head), soft_wrap=True)


@audit.command()
@click.argument("slug")
def release(slug: str) -> None:
    """Let the entries of the organization SLUG leave that it no longer keeps, as happens once a day."""
    context = _context(slug)
    from provisioning import audit_retention

    out.print(f"{slug}: {audit_retention.release(context=context)} entries left")


def _context(slug: str) -> Any:
    set_up_django()
    from engine.tenancy.context import public_schema
    from shared.organizations.models import Organization

    with public_schema():
        found = Organization.objects.filter(slug=slug).first()
    if found is None:
        fail(f"There is no organization {slug}.")
    return found.context()


def _point(text: str | None) -> Any:
    from engine.chain.walk import Point

    if text is None:
        return None
    try:
        return Point.parse(text)
    except ValueError:
        raise click.BadParameter("A number, a colon and 64 hexadecimal digits.", param_hint="--head") from None


def _tell_unseen(seen: bool) -> None:
    if not seen:
        err.print("The noted head is not in here: it left with older entries. Verify their export.", soft_wrap=True)
