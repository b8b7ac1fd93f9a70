"""Commands for platform staff: the life of an organization between its birth and its end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

import click

from config.terminal import at_the_terminal, err, fail, out, set_up_django

# Longer than a flow waits until every process has heard.
_HEARD_SECONDS_MAX = 10

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
    row = find(slug)
    from provisioning import suspension

    _carry(suspension.suspend, row, email, reason=reason)
    err.print(f"{slug} is suspended. `keystead org resume {slug} --reason ..` takes it up again.", soft_wrap=True)


@click.command()
@click.argument("slug")
@reason_option
@operator_option
def resume(slug: str, reason: str, email: str) -> None:
    """Serve the suspended organization SLUG again; what was held for it is taken up."""
    row = find(slug)
    from provisioning import suspension

    _carry(suspension.resume, row, email, reason=reason)
    err.print(f"{slug} is active.")


@click.command()
@click.argument("slug")
@click.argument("new_slug")
@click.option(
    "--old-host",
    type=click.Choice(["redirect", "gone"]),
    default="redirect",
    show_default=True,
    help="What the former host does: send callers on with 308, or answer 404.",
)
@operator_option
def rename(slug: str, new_slug: str, old_host: Any, email: str) -> None:
    """Let the organization SLUG be known as NEW_SLUG. Its issuer and its devices' gateway stay."""
    row = find(slug)
    from engine.tenancy.context import public_schema
    from provisioning import naming

    with public_schema():
        naming.rename(organization_id=row.id, slug=new_slug, old_host=old_host, by=actor(email))
    err.print(
        f"{slug} is {new_slug} now. Its issuer is {row.issuer} for ever; nobody else is given {slug}.", soft_wrap=True
    )


@click.command("plan")
@click.argument("slug")
@click.argument("plan_code")
@operator_option
def change_plan(slug: str, plan_code: str, email: str) -> None:
    """Give the organization SLUG the plan PLAN_CODE."""
    row = find(slug)
    from engine.tenancy.context import public_schema
    from provisioning import naming

    with public_schema():
        naming.change_plan(organization_id=row.id, plan_code=plan_code, by=actor(email))
    err.print(f"{slug} has the plan {plan_code}, everywhere within 30 seconds.")


@click.group()
def domain() -> None:
    """Domains that an organization brings along: add, verify, remove."""


@domain.command("add")
@click.argument("slug")
@click.argument("host")
@operator_option
def add_domain(slug: str, host: str, email: str) -> None:
    """Claim HOST for the organization SLUG, and print the TXT record that proves it."""
    row = find(slug)
    from engine.tenancy.context import public_schema
    from provisioning import domains

    with public_schema():
        found = domains.claim(organization_id=row.id, host=host, by=actor(email))
    out.print(f'{found.record_name}. IN TXT "{found.challenge}"', soft_wrap=True, markup=False)
    err.print(
        f"Publish it before {found.expires_at:%Y-%m-%d %H:%M} UTC, then: `keystead org domain verify {slug} {host}`",
        soft_wrap=True,
    )


@domain.command("verify")
@click.argument("slug")
@click.argument("host")
@operator_option
def verify_domain(slug: str, host: str, email: str) -> None:
    """Look for the TXT record of HOST; from then on it answers."""
    row = find(slug)
    from engine.tenancy.context import public_schema
    from provisioning import domains
    from provisioning.adapters import dns

    with public_schema():
        by, known = actor(email), domains.find(organization_id=row.id, host=host)
        found = domains.verify(claim_id=known.id, by=by, look_up=dns.resolver())
    if found.finding:
        fail(f"{found.finding} {host} goes on answering; `keystead org domain remove {slug} {host}` ends that.")
    err.print(f"{host} is {slug}'s and answers.")


@domain.command("remove")
@click.argument("slug")
@click.argument("host")
@operator_option
def remove_domain(slug: str, host: str, email: str) -> None:
    """Stop using HOST. Once it was verified, no other organization is ever given it."""
    row = find(slug)
    from engine.tenancy.context import public_schema
    from provisioning import domains

    with public_schema():
        known = domains.find(organization_id=row.id, host=host)
        domains.remove(claim_id=known.id, by=actor(email))
    err.print(f"{host} does not answer any more." if known.verified_at else f"{host} is no longer claimed.")


@click.command()
@click.argument("slug")
@click.option("--reason", default="", help="Why. Needed to ask for it and to cancel it.")
@click.option("--operator", "email", required=True, help="The operator who acts, by e-mail address.")
@click.option("--code", prompt="One-time code", help="Of the operator's authenticator, or a recovery code.")
@click.option("--approve", "act", flag_value="approve", help="Agree to it, as another operator than the one who asked.")
@click.option("--cancel", "act", flag_value="cancel", help="Keep the organization, while the grace period lasts.")
def offboard(slug: str, reason: str, email: str, code: str, act: str | None) -> None:
    """Ask for the end of the organization SLUG; with --approve or --cancel, decide about it.

    From the approval on it is suspended. After the grace period its rows are exported, its keys destroyed,
    its schema and role dropped, and a certificate is signed.
    """
    row = find(slug)
    from engine.tenancy.context import public_schema
    from provisioning import offboarding

    with public_schema():
        by = proven_actor(email, code)
        if act == "approve":
            found = offboarding.approve(organization_id=row.id, by=by)
        elif act == "cancel":
            found = offboarding.cancel(organization_id=row.id, reason=reason, by=by)
        else:
            found = offboarding.request(organization_id=row.id, reason=reason, by=by)
        flow = found.flow
    if act == "cancel":
        err.print(f"{slug} stays.")
        return
    flow = run(flow, patience_seconds=_HEARD_SECONDS_MAX)
    if act != "approve":
        err.print(f"Now another operator: `keystead org offboard {slug} --approve --operator ..`")
    elif flow.status == "succeeded":
        err.print(f"{slug} is gone. See `keystead org certificate {slug} --verify`.")
    else:
        err.print(
            f"It can be cancelled until {found.grace_ends_at:%Y-%m-%d %H:%M} UTC; then the provisioner goes on.",
            soft_wrap=True,
        )


@click.command()
@click.argument("slug")
@click.option("--verify", "check", is_flag=True, help="Check the signature, and that nothing is left.")
@click.option(
    "--public-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Keys (PEM) that may have signed it. Default: this platform's own.",
)
@click.option("--raw", is_flag=True, help="Print the JWS itself.")
def certificate(slug: str, check: bool, public_key: Path | None, raw: bool) -> None:
    """What was destroyed of the offboarded organization SLUG, as it was signed."""
    row = find(slug)
    from engine import service_tokens
    from engine.tenancy.context import public_schema
    from provisioning import certificates, destruction, offboarding

    with public_schema():
        signed = offboarding.latest(organization_id=row.id).certificate
    if not signed:
        fail(f"{slug} is not offboarded; see `keystead org show {slug}`")
    if raw:
        out.print(signed, soft_wrap=True, markup=False)
        return
    if public_key is not None:
        keys = service_tokens.load_public_keys(public_key)
    else:
        keys = (certificates.platform_key().public_key(),)
    content = certificates.verify(signed, public_keys=keys)
    out.print_json(json.dumps(content))
    if check:
        if content["organization"]["id"] != row.public_id:
            fail("it speaks of another organization")
        with public_schema():
            held = destruction.holdings(row)
        if left := destruction.remains(held):
            fail(f"PostgreSQL still has {' and '.join(left)}")
        err.print("The signature holds, and nothing of the organization is left in the database.")


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
    from shared.operators import selectors as operators

    if not email:
        return at_the_terminal()
    found = accounts.user_by_email(email=email)
    if found is None or not operators.may(principal=found.principal, write=True):
        fail(f"{email!r} is no operator who may change things; see `keystead operator list`")
    return found.principal


def proven_actor(email: str, code: str) -> Any:
    """The operator who acts, by a code that nobody else at this terminal has. Call in `public_schema()`."""
    from shared.accounts import codes
    from shared.accounts import selectors as accounts

    by = actor(email)
    user = accounts.user_by_email(email=email)
    if user is None or not codes.check(user=user, code=code, proven="terminal"):
        fail(f"this is not the present one-time code of {email}, or it was used before")
    return by


def _carry(verb: Callable[..., Any], row: Any, email: str, **arguments: Any) -> None:
    """Call a verb that starts a flow, and run the flow here where this process can."""
    from engine.tenancy.context import public_schema

    with public_schema():
        flow = verb(organization_id=row.id, by=actor(email), **arguments)
    run(flow)


def run(flow: Any, *, patience_seconds: float = 0) -> Any:
    """Run a flow as far as it goes, over waits of up to `patience_seconds`.

    Without the owner's login the provisioner does, and this says so.
    """
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
        while True:
            flow = flows.advance(flow_id=flow.id, progress=tell)
            seconds = (flow.due_at - datetime.now(UTC)).total_seconds() if flow.due_at else inf
            if flow.status != "waiting" or seconds > patience_seconds:
                return flow
            time.sleep(max(seconds, 0.05))
    except flows.FlowBusyError:
        err.print(f"The provisioner is running flow {ids.encode('flow', flow.id)}.")
    except DomainError as error:
        err.print(f"[yellow]later:[/] {error.title}. {error.detail} The provisioner tries again.")
    return flow


COMMANDS = (suspend, resume, rename, change_plan, domain, offboard, certificate)
