"""Commands for platform staff: backing an organization up, and restoring it (docs/backups.md)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Column, Table

from config.commands.life import find
from config.terminal import at_the_terminal, err, fail, out, set_up_django

_BUSY_SECONDS = 0.2


@click.command()
@click.argument("slug")
@click.option(
    "--to", "place", default="blob", show_default=True, help="A file that is not there yet, or `blob`: the platform's."
)
def backup(slug: str, place: str) -> None:
    """Back up the organization SLUG while it works, or go on with a backup that was interrupted."""
    organization = find(slug)
    from engine.tenancy.context import public_schema
    from provisioning import flows, schemas
    from provisioning.backups import services
    from provisioning.models import FlowKind

    schemas.require_owner_login()
    with public_schema():
        flow = organization.flows.filter(kind=FlowKind.BACKUP, status__in=flows.OPEN).first()
        if flow is not None:
            err.print(f"a backup of {slug} was begun before; going on with step {flow.step}")
        else:
            flow = services.request_backup(
                organization=organization, by=at_the_terminal(), to=None if place == "blob" else Path(place)
            )
    flow = _carry(flow, again=f"keystead org backup {slug}")
    with public_schema():
        row = services.backup_of(flow=flow)
    err.print(f"{row.table_count} tables, {row.row_count} rows, {row.size_bytes} bytes, sha256 {row.sha256}")
    out.print(row.location, soft_wrap=True)


@click.command()
@click.argument("file")
@click.option("--as-copy", "mode", flag_value="as_copy", help="The organization lives: load beside it, then switch.")
@click.option("--into-fresh", "mode", flag_value="into_fresh", help="This database does not know the organization.")
def restore(file: str, mode: str | None) -> None:
    """Restore an organization from FILE: a path, `blob:` and a name, or the id of a backup.

    Without an option its schema has to be gone. The file is checked whole before anything is written.
    Interrupted, the same command goes on.
    """
    set_up_django()
    from provisioning.backups import services

    location = services.locate(file)
    flow = services.open_restore(location=location)
    if flow is not None:
        err.print(f"this restore was begun before; going on with step {flow.step}")
    else:
        flow = services.request_restore(
            location=location, by=at_the_terminal(), mode=services.Mode(mode) if mode else None
        )
    again = f"keystead org restore {file}" + (f" --{mode.replace('_', '-')}" if mode else "")
    flow = _carry(flow, again=again)
    slug = flow.organization.slug
    out.print(f"{slug} is restored and {flow.parameters['reopen_as']}.")
    if flow.parameters["old_schema"]:
        err.print(f"What is left of before is kept until `keystead org drop-superseded {slug}`.")


@click.command()
@click.argument("slug")
def backups(slug: str) -> None:
    """List the backups of the organization SLUG."""
    organization = find(slug)
    from engine.tenancy.context import public_schema

    whole = Column("id", no_wrap=True, min_width=30)
    table = Table(whole, "status", "taken", "rows", "bytes", Column("where", overflow="fold"), box=None)
    with public_schema():
        for row in organization.backups.all():
            taken = f"{row.taken_at:%Y-%m-%d %H:%M}" if row.taken_at else ""
            table.add_row(row.public_id, row.status, taken, str(row.row_count), str(row.size_bytes), row.location)
    out.print(table)


@click.command("verify-backup")
@click.argument("file")
def verify_backup(file: str) -> None:
    """Read FILE to its end as a restore would, and say what it holds."""
    set_up_django()
    from provisioning.backups import services

    manifest = services.check(location=services.locate(file))
    rows = sum(table.rows for table in manifest.tables)
    out.print(f"{manifest.slug} as of {manifest.taken_at}: {len(manifest.tables)} tables, {rows} rows, intact")


@click.command("drop-superseded")
@click.argument("slug")
def drop_superseded(slug: str) -> None:
    """Drop the schemas that restores of the organization SLUG have taken out of use."""
    organization = find(slug)
    from provisioning.backups import services

    dropped = services.drop_superseded(organization=organization)
    for schema in dropped:
        err.print(f"{schema} dropped")
    if not dropped:
        err.print("There is nothing to drop.")


COMMANDS = (backup, restore, backups, verify_backup, drop_superseded)


def _carry(flow: Any, *, again: str) -> Any:
    """Run a flow to its end, waiting where it has to wait."""
    from engine.errors import DomainError
    from provisioning import flows

    with err.status("starting") as status:

        def tell(step: str, state: str) -> None:
            if state == "started":
                status.update(f"{step} ...")
            else:
                err.print(f"  {step}: {state}")

        while True:
            try:
                done = flows.advance(flow_id=flow.id, progress=tell)
            except flows.FlowBusyError:
                # The provisioner is at it; what it does is done.
                time.sleep(_BUSY_SECONDS)
                continue
            except DomainError as error:
                err.print(f"[red]stopped:[/] {error.title}. {error.detail}", soft_wrap=True)
                fail(f"Nothing is lost. Run `{again}` again to go on from here.")
            if done.status != "waiting" or done.due_at is None:
                return done
            seconds = (done.due_at - datetime.now(UTC)).total_seconds()
            status.update(f"{done.step}: waiting {max(seconds, 0):.0f} s")
            time.sleep(max(seconds, 0.05))
