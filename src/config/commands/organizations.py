"""Commands for platform staff: organizations and plans."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import click
from rich.markup import escape
from rich.table import Column, Table

from config.commands import backups, life
from config.terminal import at_the_terminal, err, fail, out, set_up_django

_BUSY_SECONDS = 0.2
# What a PostgreSQL integer holds.
_LIMIT = click.IntRange(0, 2**31 - 1)
_PLAN_DEFAULTS = {"requests_per_minute_max": 6_000, "people_max": 100_000, "devices_max": 1_000}


@click.group()
def org() -> None:
    """Organizations: their birth, life and end (docs/organizations.md)."""


for command in (*life.COMMANDS, *backups.COMMANDS):
    org.add_command(command)


@org.command()
@click.argument("slug")
@click.option("--plan", "plan_code", required=True, help="Code of the plan, for example `standard`.")
@click.option("--name", default="", help="What people call it. Default: the slug.")
@click.option("--admin-email", required=True, help="Its first member, who becomes owner.")
@click.option("--environment", type=click.Choice(["live", "test"]), default="live", show_default=True)
@click.option("--time-zone", default="UTC", show_default=True, help="IANA name; can never change.")
@click.option("--locale", default="en", show_default=True, help="Can never change.")
@click.option("--currency", default="EUR", show_default=True, help="ISO 4217; can never change.")
def create(slug: str, **options: str) -> None:
    """Create the organization SLUG, or go on with one whose creation was interrupted."""
    set_up_django()
    from config import faults
    from engine import ids
    from engine.tenancy.context import public_schema
    from provisioning import schemas, services
    from provisioning.models import FlowKind
    from shared.organizations.models import Organization

    schemas.require_owner_login()
    with public_schema():
        existing = Organization.objects.filter(slug=slug).first()
        flow = existing.flows.filter(kind=FlowKind.CREATE).first() if existing else None
        if flow is not None and flow.status != "succeeded":
            err.print(
                f"{slug} was begun before, with {flow.parameters.get('admin_email', 'somebody')} as its owner; "
                f"going on with step {flow.step}",
                soft_wrap=True,
            )
        else:
            options["name"] = options["name"] or slug
            birth = services.Birth(slug=slug, **options)
            flow = services.request_organization(birth=birth, by=at_the_terminal())
    owner = flow.parameters.get("admin_email", options["admin_email"])
    with err.status("starting") as status:

        def tell(step: str, state: str) -> None:
            if state == "started":
                status.update(f"{step} ...")
            else:
                err.print(f"  {step}: {state}")

        try:
            done = _advance(flow.id, tell)
        except Exception as error:
            told = faults.explain(error)
            if told is None:
                raise
            err.print(f"[red]stopped:[/] {escape(told)}", soft_wrap=True)
            fail(f"Nothing is lost. Run `keystead org create {slug} ...` again to go on from here.")
    organization = done.organization
    out.print_json(json.dumps(_described(organization)))
    err.print(f"Invite the owner: `keystead org invite {slug} --email {owner}` (flow {ids.encode('flow', done.id)})")


@org.command()
@click.argument("slug")
@click.option("--email", required=True, help="An address that was invited before.")
def invite(slug: str, email: str) -> None:
    """Print a fresh invitation for a member who has not signed in yet."""
    set_up_django()
    from engine.tenancy.context import organization
    from tenants.access import services as access

    context = _living(slug).context()
    with organization(context):
        token = access.renew_invitation(email=email)
    out.print(f"{context.issuer}/accept-invitation#{token}", soft_wrap=True)
    err.print("Shown once. POST it to /v1/invitations/accept with the password of the member's choice.")


@org.command("rotate-keys")
@click.argument("slug")
@click.option("--purpose", type=click.Choice(["biometric", "documents", "secrets"]), required=True)
def rotate_keys(slug: str, purpose: Any) -> None:
    """Make a new version of an organization's key and move every person's key to it.

    Nothing stops meanwhile. Interrupted, the same command finishes the rotation.
    """
    set_up_django()
    from engine.tenancy.context import organization
    from tenants.keyring import services as keyring

    with organization(_living(slug).context()):
        key = keyring.rotate_organization_key(purpose=purpose)
    out.print(f"{slug}: {purpose} key version {key.version} is {key.state}")


@org.command("rotate-signing-key")
@click.argument("slug")
@click.option("--immediately", is_flag=True, help="Others know the key: every token signed so far is dead.")
def rotate_signing_key(slug: str, immediately: bool) -> None:
    """Make a new key for an organization's tokens.

    It is published now and signs in ten minutes, when everybody has seen it; the earlier ones verify until their
    last token is over.
    """
    set_up_django()
    from engine.tenancy.context import organization
    from tenants.access import services as access

    with organization(_living(slug).context()):
        key = access.rotate_signing_key(immediately=immediately, by=at_the_terminal())
    out.print(f"{slug}: key {key.kid} signs from {key.signs_at:%Y-%m-%d %H:%M:%S} UTC", soft_wrap=True)


@org.command("list")
def list_() -> None:
    """List organizations."""
    set_up_django()
    from engine.tenancy.context import public_schema
    from shared.organizations.models import Organization

    # Ids are there to be copied: a narrow terminal, or none, must not shorten them.
    whole = Column("id", no_wrap=True, min_width=30)
    table = Table(
        whole,
        *(Column(name, overflow="fold") for name in ("slug", "status", "plan", "environment", "currency", "time zone")),
        box=None,
    )
    with public_schema():
        for row in Organization.objects.select_related("plan"):
            table.add_row(
                row.public_id,
                row.slug,
                row.status,
                row.plan.code,
                row.environment,
                row.currency,
                row.time_zone,
            )
    out.print(table)


@org.command()
@click.argument("slug")
def show(slug: str) -> None:
    """Show one organization and its flows."""
    set_up_django()
    described = _described(_organization(slug))
    out.print_json(json.dumps(described))
    if any(flow["attempts"] for flow in described["flows"]):
        err.print(
            "The provisioner tries a flow that failed again for some hours. After that: `keystead outbox parked`, and "
            "once the cause is gone `keystead outbox retry ID`.",
            soft_wrap=True,
        )


@click.group()
def plan() -> None:
    """Plans."""


@plan.command("create")
@click.argument("code")
@click.option("--title", help="Default: the code.")
@click.option("--requests-per-minute", "requests_per_minute_max", type=_LIMIT, help="Default: 6000.")
@click.option("--people", "people_max", type=_LIMIT, help="Default: 100000.")
@click.option("--devices", "devices_max", type=_LIMIT, help="Default: 1000.")
def create_plan(code: str, title: str | None, **limits: int | None) -> None:
    """Create the plan CODE, or change what is given of one that is there."""
    set_up_django()
    from engine.tenancy.context import public_schema
    from shared.plans import services as plans

    given = {name: value for name, value in limits.items() if value is not None}
    by = at_the_terminal()
    with public_schema():
        try:
            row, became = plans.create(code=code, title=title or code, by=by, **{**_PLAN_DEFAULTS, **given}), "created"
        except plans.PlanExists:
            wanted: dict[str, str | int] = {**given, **({"title": title} if title else {})}
            row, became = plans.change(code=code, by=by, **wanted), "is there" if not wanted else "is as you say"
    out.print(f"{row.public_id} {row.code} {became}")


@plan.command("list")
def list_plans() -> None:
    """List plans and their limits."""
    set_up_django()
    from engine.tenancy.context import public_schema
    from shared.plans.models import Plan

    table = Table(
        *(Column(name, overflow="fold") for name in ("code", "title", "requests a minute", "people", "devices")),
        box=None,
    )
    with public_schema():
        for row in Plan.objects.order_by("code"):
            limits = (row.requests_per_minute_max, row.people_max, row.devices_max)
            table.add_row(row.code, row.title, *map(str, limits))
    out.print(table)


def _advance(flow_id: UUID, tell: Callable[[str, str], None]) -> Any:
    """Run a flow to its end, or wait while another process (the provisioner) does."""
    from provisioning import flows

    while True:
        try:
            return flows.advance(flow_id=flow_id, progress=tell)
        except flows.FlowBusyError:
            time.sleep(_BUSY_SECONDS)


def _organization(slug: str) -> Any:
    from engine.tenancy.context import public_schema
    from shared.organizations.models import Organization

    with public_schema():
        row = Organization.objects.select_related("plan").filter(slug=slug).first()
    if row is None:
        fail(f"there is no organization {slug!r}; see `keystead org list`")
    return row


def _living(slug: str) -> Any:
    row = _organization(slug)
    from shared.organizations.models import GONE

    if row.status in GONE:
        fail(f"{slug} is {row.status}; see `keystead org show {slug}`")
    return row


def _described(row: Any) -> dict[str, Any]:
    from engine.tenancy.context import public_schema
    from shared.operator_log import selectors as operator_log

    with public_schema():
        return {
            "id": row.public_id,
            "slug": row.slug,
            "name": row.name,
            "status": row.status,
            "plan": row.plan.code,
            **{field: getattr(row, field) for field in row.FIXED},
            "hosts": sorted(row.domains.values_list("host", flat=True)),
            "flows": [
                {
                    "id": flow.public_id,
                    "kind": flow.kind,
                    "status": flow.status,
                    "step": flow.step,
                    "attempts": flow.attempts,
                    "last_error": flow.last_error,
                }
                for flow in row.flows.all()
            ],
            "acts": [
                {
                    "at": act.created_at.isoformat(),
                    "action": act.action,
                    "by": act.actor_display or act.actor.public_id,
                    "reason": act.reason,
                    "detail": act.detail,
                }
                for act in operator_log.acts(organization_id=row.id).order_by("id")
            ],
        }
