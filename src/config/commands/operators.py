"""Commands about platform staff."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import click
from rich.table import Column, Table

from config.terminal import at_the_terminal, err, fail, out, set_up_django

if TYPE_CHECKING:
    from shared.operators.services import Authenticator

ROLES = click.Choice(["support", "admin"])


@click.group()
def operator() -> None:
    """Operators: the platform's own staff."""


@operator.command()
@click.option("--email", required=True)
@click.option("--role", type=ROLES, required=True, help="support reads, admin changes things.")
@click.option("--name", "display_name", default="")
@click.option(
    "--password",
    envvar="KEYSTEAD_OPERATOR_PASSWORD",
    prompt=True,
    hide_input=True,
    confirmation_prompt=True,
    help="Asked for unless KEYSTEAD_OPERATOR_PASSWORD holds it.",
)
def create(email: str, role: str, display_name: str, password: str) -> None:
    """Create an operator; print the secret for an authenticator app and recovery codes, once."""
    set_up_django()
    from engine.tenancy.context import public_schema
    from shared.operators import services as operators

    with public_schema():
        made = operators.create(
            email=email, password=password, role=role, display_name=display_name, by=at_the_terminal()
        )
    _show(made)


@operator.command("list")
def list_() -> None:
    """Operators with their roles."""
    set_up_django()
    from engine.tenancy.context import public_schema
    from shared.operators import selectors

    table = Table(
        Column("id", no_wrap=True, min_width=30),
        Column("email", overflow="fold"),
        "role",
        "state",
        "last sign-in",
        box=None,
    )
    with public_schema():
        for row in selectors.operators().order_by("user_id"):
            seen = f"{row.user.last_login:%Y-%m-%d %H:%M} UTC" if row.user.last_login else ""
            table.add_row(row.public_id, row.user.email, row.role, row.user.state, seen)
    out.print(table)


@operator.command("set-role")
@click.argument("email")
@click.argument("role", type=ROLES)
@click.option("--reason", default="")
def set_role(email: str, role: str, reason: str) -> None:
    """Give the operator EMAIL another ROLE, from the next request on."""
    set_up_django()
    from engine.tenancy.context import public_schema
    from shared.operators import services as operators

    with public_schema():
        operators.set_role(operator_id=_id_of(email), role=role, reason=reason, by=at_the_terminal())
    out.print(f"{email} is {role}")


@operator.command()
@click.argument("email")
@click.option("--reason", default="")
def disable(email: str, reason: str) -> None:
    """Close the account of the operator EMAIL for good: sessions and impersonations end at once."""
    set_up_django()
    from engine.tenancy.context import public_schema
    from shared.operators import services as operators

    with public_schema():
        operators.disable(operator_id=_id_of(email), reason=reason, by=at_the_terminal())
    out.print(f"{email} is disabled")


@operator.command("reset-totp")
@click.argument("email")
@click.option("--reason", default="")
def reset_totp(email: str, reason: str) -> None:
    """Give the operator EMAIL a new authenticator and recovery codes; the old ones and all sessions are dead."""
    set_up_django()
    from engine.tenancy.context import public_schema
    from shared.operators import services as operators

    with public_schema():
        made = operators.reset_totp(operator_id=_id_of(email), reason=reason, by=at_the_terminal())
    _show(made)


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
    table = Table(
        "at",
        Column("who", overflow="fold"),
        Column("did", overflow="fold"),
        Column("organization", no_wrap=True, min_width=30),
        "why",
        box=None,
    )
    for row in rows:
        whom = ids.encode("org", row.organization_id) if row.organization_id else ""
        actor = row.actor_display or row.actor.public_id
        table.add_row(f"{row.created_at:%Y-%m-%d %H:%M:%S} UTC", actor, row.action, whom, row.reason)
    out.print(table)


def _id_of(email: str) -> UUID:
    from shared.accounts import selectors as accounts

    user = accounts.user_by_email(email=email)
    if user is None:
        fail(f"there is no operator {email!r}; see `keystead operator list`")
    return user.id


def _show(made: Authenticator) -> None:
    out.print(made.otpauth_url, soft_wrap=True, markup=False)
    for code in made.recovery_codes:
        out.print(code)
    err.print("Shown once: put the URL into an authenticator app; every sign-in needs a code from it.")
    err.print("Keep the codes below it in a safe place: each stands in for one code of a lost authenticator.")
