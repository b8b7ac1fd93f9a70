"""Commands that define tables. All but `database bootstrap` need the owner's login."""

from __future__ import annotations

import warnings

import click

from config.commands.logins import give_logins, rotate_logins, usable
from config.terminal import err, fail, out, set_up_django


@click.group()
def database() -> None:
    """The database itself: roles, their logins, and an empty, locked-down database."""


database.add_command(give_logins)
database.add_command(rotate_logins)


@database.command()
@click.option(
    "--admin-url",
    envvar="KEYSTEAD_ADMIN_DATABASE_URL",
    required=True,
    help="A login that may create roles.",
)
@click.option("--owner-url", envvar="KEYSTEAD_OWNER_DATABASE_URL", required=True, help="ks_owner's URL.")
@click.option("--app-url", envvar="KEYSTEAD_DATABASE_URL", required=True, help="ks_app's URL.")
@click.option("--isolation", envvar="KEYSTEAD_ISOLATION", type=click.Choice(["role", "login"]), default="role")
@click.option("--login-secret", envvar="KEYSTEAD_LOGIN_SECRET", help="Needed for login isolation.")
def bootstrap(admin_url: str, owner_url: str, app_url: str, isolation: str, login_secret: str | None) -> None:
    """Make the roles and the database. Run once per server; running it again repairs.

    With KEYSTEAD_ISOLATION=login, roles log in themselves and ks_app may become nobody. An
    installation that works in role mode runs `keystead database logins` first (docs/scaling.md).
    """
    from engine.tenancy import roles

    if isolation == "login":
        login_secret = usable(login_secret)
    try:
        roles.bootstrap(
            admin_url=admin_url,
            owner_url=owner_url,
            app_url=app_url,
            login_secret=login_secret if isolation == "login" else None,
        )
    except ValueError as error:
        fail(str(error))
    err.print("roles and database are ready")


@click.command()
@click.option("--check", "check_only", is_flag=True, help="Fail when the committed script is stale; write nothing.")
def bake(check_only: bool) -> None:
    """Write the script that new organizations' schemas are made from.

    Works on a database of its own unless KEYSTEAD_OWNER_DATABASE_URL names one.
    """
    from devkit import scratch

    if check_only:
        scratch.configure()
        set_up_django()
        from provisioning import schemas

        schemas.baked_script()
        err.print("the baked script matches the migrations")
        return
    with scratch.database():
        set_up_django()
        from django.db import connections

        from provisioning import schemas

        schemas.migrate_public()
        schemas.BAKED.parent.mkdir(exist_ok=True)
        schemas.BAKED.write_text(schemas.bake())
        connections.close_all()
    out.print(str(schemas.BAKED))


@click.command()
def check() -> None:
    """Check apps and models without a database, and that no migration is missing."""
    from devkit import scratch

    scratch.configure()
    set_up_django()
    from django.core.management import call_command

    call_command("check")
    try:
        with warnings.catch_warnings():
            # It also looks for an inconsistent history, in a database that this command does without.
            warnings.simplefilter("ignore", RuntimeWarning)
            call_command("makemigrations", check=True, dry_run=True)
    except SystemExit as missing:
        if missing.code:
            fail("models have changed without a migration: run `make migrations`")
