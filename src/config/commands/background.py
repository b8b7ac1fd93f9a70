"""Commands for platform staff: what waits in the background, and whether the sealed logs hold."""

from __future__ import annotations

from uuid import UUID

import click
from rich.table import Column, Table

from config.terminal import err, fail, out, set_up_django


@click.group()
def outbox() -> None:
    """Background messages: status, parked, retry."""


@outbox.command()
def status() -> None:
    """What waits in each queue, and for how long."""
    set_up_django()
    from engine.outbox import claims

    table = Table("queue", "waiting", "parked", "oldest due, seconds")
    for depth in claims.depths():
        table.add_row(depth.queue, str(depth.waiting), str(depth.parked), f"{depth.lag_seconds:.1f}")
    out.print(table)


@outbox.command()
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
def parked(limit: int) -> None:
    """Messages that failed too often and wait for a decision, oldest first."""
    set_up_django()
    from engine.outbox import claims

    table = Table(Column("id", no_wrap=True, min_width=36), "role", "name", "attempts", "last error")
    for message in claims.parked(limit=limit):
        table.add_row(str(message.id), message.org_role, message.name, str(message.attempts), message.last_error)
    out.print(table)


@outbox.command()
@click.argument("message_id", type=click.UUID, required=False)
@click.option("--all", "everything", is_flag=True, help="All parked messages instead of one.")
def retry(message_id: UUID | None, everything: bool) -> None:
    """Let the parked message MESSAGE_ID try again."""
    if (message_id is None) != everything:
        raise click.UsageError("Name one message, or say --all.")
    set_up_django()
    from engine.outbox import claims

    count = claims.unpark(message_id)
    if not count and message_id is not None:
        fail("No parked message has this id.")
    err.print(f"{count} will be tried again")


@click.command()
@click.argument("slug")
def verify(slug: str) -> None:
    """Walk the sealed logs (events, audit) of the organization SLUG; exit 1 when a link is broken."""
    set_up_django()
    from engine.tenancy.context import organization, public_schema
    from shared.organizations.models import Organization
    from tenants.audit import services as audit
    from tenants.events import services as events

    with public_schema():
        found = Organization.objects.filter(slug=slug).first()
    if found is None:
        fail(f"There is no organization {slug}.")
    table = Table("log", "sealed", "unsealed", "head", "state")
    broken = False
    with organization(found.context()):
        for name, check in (("events", events.verify), ("audit", audit.verify)):
            result = check()
            broken = broken or not result.intact
            state = "intact" if result.intact else f"broken at {result.broken_at}: {result.reason}"
            table.add_row(name, str(result.sealed), str(result.unsealed), result.head_hash.hex()[:16], state)
    out.print(table)
    if broken:
        fail("A sealed log was changed.")
