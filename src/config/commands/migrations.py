"""Commands that define tables. All but `database bootstrap` need the owner's login."""

from __future__ import annotations

import sys

import click

from config.terminal import err, fail, out, set_up_django


@click.group()
def database() -> None:
    """The database itself: roles and an empty, locked-down database."""


@database.command()
@click.option(
    "--admin-url",
    envvar="KEYSTEAD_ADMIN_DATABASE_URL",
    required=True,
    help="A login that may create roles.",
)
@click.option("--owner-url", envvar="KEYSTEAD_OWNER_DATABASE_URL", required=True, help="ks_owner's URL.")
@click.option("--app-url", envvar="KEYSTEAD_DATABASE_URL", required=True, help="ks_app's URL.")
def bootstrap(admin_url: str, owner_url: str, app_url: str) -> None:
    """Make the roles and the database. Run once per server; running it again repairs."""
    from engine.tenancy import roles

    try:
        roles.bootstrap(admin_url=admin_url, owner_url=owner_url, app_url=app_url)
    except ValueError as error:
        fail(str(error))
    err.print("roles and database are ready")


@click.command()
def migrate() -> None:
    """Bring the platform's tables and every organization's schema up to date."""
    set_up_django()
    from engine.tenancy.context import public_schema
    from provisioning import schemas
    from shared.organizations.models import Organization

    schemas.migrate_public()
    err.print("public schema: up to date")
    with public_schema():
        rows = list(Organization.objects.order_by("id").values_list("slug", "schema_name", "role_name"))
    for number, (slug, schema, role) in enumerate(rows, start=1):
        if schemas.migrate_organization(schema=schema, role=role):
            err.print(f"[{number}/{len(rows)}] {slug}: up to date")


@click.command()
@click.option(
    "--check",
    "check_only",
    is_flag=True,
    help="Fail when the committed script is stale; write nothing.",
)
def bake(check_only: bool) -> None:
    """Write the script that new organizations' schemas are made from."""
    set_up_django()
    from provisioning import schemas

    if check_only:
        schemas.baked_script()
        err.print("the baked script matches the migrations")
        return
    schemas.migrate_public()
    schemas.BAKED.parent.mkdir(exist_ok=True)
    schemas.BAKED.write_text(schemas.bake())
    out.print(str(schemas.BAKED))


@click.command()
def check() -> None:
    """Check the installation without a database: settings, apps, models, missing migrations."""
    set_up_django()
    from django.core.management import call_command

    call_command("check")
    try:
        call_command("makemigrations", check=True, dry_run=True)
    except SystemExit as missing:
        if missing.code:
            fail("models have changed without a migration: run `make migrations`")
    sys.exit(0)
