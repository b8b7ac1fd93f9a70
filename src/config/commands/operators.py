"""Commands about platform staff."""

from __future__ import annotations

import click
from rich.table import Column, Table

from config.terminal import err, fail, out, set_up_django


@click.group()
def operator() -> None:
    """Operators: the platform's own staff."""


@operator.command()
@click.option("--email", required=True)
@click.option("--name", "display_name", default="")
@click.option(
    "--password",
    envvar="KEYSTEAD_OPERATOR_PASSWORD",
    prompt=True,
    hide_input=True,
    confirmation_prompt=True,
    help="Asked for unless KEYSTEAD_OPERATOR_PASSWORD holds it.",
)
def create(email: str, display_name: str, password: str) -> None:
    """Create an operator and print the secret for an authenticator app, once."""
    set_up_django()
    from engine.tenancy.context import public_schema
    from shared.accounts import services as accounts

    with public_schema():
        made = accounts.create_operator(email=email, password=password, display_name=display_name)
    out.print(made.otpauth_url, soft_wrap=True, markup=False)
    err.print("Shown once: put it into an authenticator app. Every sign-in needs a code from it.")


@operator.command()
@click.option("--organization", "slug", help="Only what was done to this organization.")
@click.option("--action", default="", help="Only acts of this kind, for example organization.suspended.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
def log(slug: str | None, action: str, limit: int) -> None:
    """What operators did, and why. The newest come first."""
    set_up_django()
    from engine import ids
    from engine.tenancy.context import public_schema
    from shared.operator_log import selectors
    from shared.organizations.models import Organization

    with public_schema():
        organization_id = None
        if slug is not None:
            organization_id = Organization.objects.filter(slug=slug).values_list("id", flat=True).first()
            if organization_id is None:
                fail(f"there is no organization {slug!r}; see `keystead org list`")
        rows = list(selectors.acts(organization_id=organization_id, action=action).order_by("-id")[:limit])
    table = Table("at", "who", "did", Column("organization", no_wrap=True, min_width=30), "why", box=None)
    for row in rows:
        whom = ids.encode("org", row.organization_id) if row.organization_id else ""
        who = row.actor_display or row.actor.public_id
        table.add_row(f"{row.created_at:%Y-%m-%d %H:%M:%S} UTC", who, row.action, whom, row.reason)
    out.print(table)
