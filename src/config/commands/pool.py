"""Commands about the schemas that are made ahead."""

from __future__ import annotations

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from config.terminal import err, out, set_up_django


@click.group()
def pool() -> None:
    """Schemas made ahead for new organizations: fill, show."""


@pool.command()
def show() -> None:
    """How many schemas are ready, for which migrations."""
    set_up_django()
    from django.conf import settings

    from engine.tenancy.context import public_schema
    from provisioning import pool as ready

    table = Table("migrations", "ready", "oldest made at", "", box=None)
    with public_schema():
        stocks = ready.stocks()
        for stock in stocks:
            word = "" if stock.is_current else "another release's: never handed out by this one"
            table.add_row(stock.fingerprint[:12], str(stock.count), f"{stock.oldest_at:%Y-%m-%d %H:%M} UTC", word)
    if table.row_count:
        out.print(table)
    count = sum(stock.count for stock in stocks if stock.is_current)
    out.print(f"{count} ready for this release, {settings.READY_SCHEMAS} wanted")


@pool.command()
@click.option("--size", type=click.IntRange(1, 10_000), help="How many. Default: KEYSTEAD_READY_SCHEMAS.")
def fill(size: int | None) -> None:
    """Make schemas ready now, without the provisioner's pace, and drop what other releases left.

    Interrupted, it leaves complete schemas only; run it again to go on.
    """
    set_up_django()
    from engine.tenancy.context import public_schema
    from provisioning import pool as ready
    from provisioning import schemas

    schemas.require_owner_login()
    with public_schema():
        lacking = ready.missing(size=size)
    made = 0
    columns = (TextColumn("schemas"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err) as progress:
        task = progress.add_task("schemas", total=lacking)
        while ready.add(size=size):
            made += 1
            progress.update(task, completed=made, total=max(lacking, made))
    dropped = 0
    while ready.drop_stale(size=size):
        dropped += 1
    with public_schema():
        left = ready.missing(size=size)
    out.print(f"{made} made, {dropped} of other releases dropped")
    if left:
        err.print(f"{left} are still missing: the provisioner is filling too. Look again with `keystead pool show`.")
