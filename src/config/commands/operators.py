"""Commands about platform staff."""

from __future__ import annotations

import click

from config.terminal import err, out, set_up_django


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
