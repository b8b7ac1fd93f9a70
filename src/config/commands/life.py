"""Commands for platform staff: the life of an organization between its birth and its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from config.terminal import at_the_terminal, err, fail, set_up_django

reason_option = click.option("--reason", required=True, help="Kept in the operators' log.")
operator_option = click.option(
    "--operator", "email", default="", help="The operator who acts, by e-mail address. Default: the command line."
)


@click.command()
@click.argument("slug")
@reason_option
@operator_option
def suspend(slug: str, reason: str, email: str) -> None:
    """Refuse everything for the organization SLUG, everywhere within 5 seconds."""
    from provisioning import suspension

    _carry(suspension.suspend, slug, email, reason=reason)
    err.print(f"{slug} is suspended. `keystead org resume {slug} --reason ..` takes it up again.")


@click.command()
@click.argument("slug")
@reason_option
@operator_option
def resume(slug: str, reason: str, email: str) -> None:
    """Serve the suspended organization SLUG again; what was held for it is taken up."""
    from provisioning import suspension

    _carry(suspension.resume, slug, email, reason=reason)
    err.print(f"{slug} is active.")


def find(slug: str) -> Any:
    """The organization's row. Sets Django up; call it first."""
    set_up_django()
    from engine.tenancy.context import public_schema
    from shared.organizations.models import Organization

    with public_schema():
        row = Organization.objects.select_related("plan").filter(slug=slug).first()
    if row is None:
        fail(f"there is no organization {slug!r}; see `keystead org list`")
    return row


def actor(email: str) -> Any:
    """The operator who acts, or the command line when nobody is named. Call in `public_schema()`."""
    from shared.accounts import selectors as accounts

    if not email:
        return at_the_terminal()
    found = accounts.user_by_email(email=email)
    if found is None or found.state != "active":
        fail(f"there is no operator {email!r}; see `keystead operator create`")
    return found.principal


def _carry(verb: Callable[..., Any], slug: str, email: str, **arguments: Any) -> None:
    """Call a verb that starts a flow, and run the flow here where this process can."""
    row = find(slug)
    from engine.tenancy.context import public_schema

    with public_schema():
        flow = verb(organization_id=row.id, by=actor(email), **arguments)
    run(flow)


def run(flow: Any) -> Any:
    """Run a flow as far as it goes; without the owner's login the provisioner does, and this says so."""
    from django.conf import settings

    from engine import ids
    from engine.errors import DomainError
    from provisioning import flows

    if not settings.HOLDS_OWNER_LOGIN:
        err.print(f"The provisioner goes on with flow {ids.encode('flow', flow.id)}.")
        return flow

    def tell(step: str, state: str) -> None:
        if state != "started":
            err.print(f"  {step}: {state}")

    try:
        return flows.advance(flow_id=flow.id, progress=tell)
    except flows.FlowBusyError:
        err.print(f"The provisioner is running flow {ids.encode('flow', flow.id)}.")
    except DomainError as error:
        err.print(f"[yellow]later:[/] {error.title}. {error.detail} The provisioner tries again.")
    return flow


COMMANDS = (suspend, resume)
