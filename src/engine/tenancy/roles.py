"""The third wall: the PostgreSQL roles, made once per server by `keystead database bootstrap`.

ks_owner         login; owns every schema; CREATEROLE, never superuser. Provisioning and migrations.
ks_app           login of every other process; NOINHERIT, so it can do nothing before SET ROLE.
ks_router        reads which organization a host belongs to.
ks_platform      works on the platform's own tables.
ks_relay         reads and acknowledges the outbox.
ks_organization  group of all organizations' roles: may use schema public to send to the outbox.
ks_o_...         one per organization, see `create_organization_role`. Its schema has the same name.

In login mode (engine.tenancy.logins) ks_router, ks_platform, ks_relay and the organizations' roles
log in themselves, and ks_app may only find out which version their passwords have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from engine.tenancy import logins
from engine.tenancy.wall import ROLES_OWN_PATH

OWNER = "ks_owner"
APP = "ks_app"
ROUTER = "ks_router"
PLATFORM = "ks_platform"
RELAY = "ks_relay"
ORGANIZATION_GROUP = "ks_organization"
EXTENSION_SCHEMA = "ext"
_PUBLIC_ROLES = (PLATFORM, ROUTER, RELAY)

# Two processes that create the same role at the same instant must not both try.
_ROLES_LOCK = 0x6B735F726F6C


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """User and password of a connection URL."""

    user: str
    password: str
    database: str

    @classmethod
    def of(cls, url: str) -> Login:
        parts = urlsplit(url)
        return cls(
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=parts.path.lstrip("/"),
        )


def bootstrap(*, admin_url: str, owner_url: str, app_url: str, login_secret: str | None = None) -> None:
    """Make the roles and the empty database that `owner_url` names. Safe to run again.

    admin_url: a login that may create roles and databases (any database of the server).
    The user names in the other two are fixed: ks_owner and ks_app.
    login_secret: given in login mode, in which ks_app may become nobody. Give an existing
    installation its logins first (`give_logins`), and let no process run in role mode.
    """
    owner, app = Login.of(owner_url), Login.of(app_url)
    if (owner.user, app.user) != (OWNER, APP) or owner.database != app.database:
        raise ValueError(f"the owner's URL must name {OWNER}, the app's {APP}, both the same database")
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("SELECT pg_advisory_lock(%s)", [_ROLES_LOCK])
        _create_logins(admin, owner=owner, app=app)
        exists = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [owner.database]).fetchone()
        if not exists:
            # Under C collation an index serves LIKE 'prefix%' by itself, which saves Django's _like twins.
            admin.execute(
                sql.SQL(
                    "CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0 LOCALE_PROVIDER builtin"
                    " BUILTIN_LOCALE 'C.UTF-8'"
                ).format(sql.Identifier(owner.database), sql.Identifier(OWNER))
            )
    with psycopg.connect(_with_database(admin_url, owner.database), autocommit=True) as admin:
        secure_database(admin, database=owner.database)
        if login_secret:
            give_logins(admin, secret=login_secret)
        with psycopg.connect(owner_url, autocommit=True) as maker:
            _let_app_switch(admin, maker, allowed=login_secret is None)


def _create_logins(admin: psycopg.Connection[Any], *, owner: Login, app: Login) -> None:
    _create_role(admin, OWNER, "LOGIN CREATEROLE NOINHERIT", password=owner.password)
    for name in (*_PUBLIC_ROLES, ORGANIZATION_GROUP):
        _create_role(admin, name, "")
        # The owner hands these on to each organization's role, and works as them while provisioning.
        admin.execute(
            sql.SQL("GRANT {} TO {} WITH ADMIN TRUE, INHERIT FALSE, SET TRUE").format(
                sql.Identifier(name), sql.Identifier(OWNER)
            )
        )
    _create_role(admin, APP, "LOGIN NOINHERIT", password=app.password)
    for name, path in ((OWNER, "''"), (APP, ROLES_OWN_PATH)):
        # A login that has entered no context finds nothing by name: no schema is called ks_app.
        admin.execute(sql.SQL(f"ALTER ROLE {{}} SET search_path = {path}").format(sql.Identifier(name)))
        admin.execute(sql.SQL("ALTER ROLE {} SET timezone = 'UTC'").format(sql.Identifier(name)))
    _keep_statements_out_of_the_log(admin)


def _keep_statements_out_of_the_log(admin: psycopg.Connection[Any]) -> None:
    """Parameters stand in our statements (client-side binding), so PostgreSQL must not log failed ones.

    Only a superuser may set this for a role; elsewhere set log_min_error_statement = panic in the
    server's own configuration (docs/one-machine.md).
    """
    row = admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if row and row[0]:
        for name in (OWNER, APP):
            admin.execute(sql.SQL("ALTER ROLE {} SET log_min_error_statement = 'panic'").format(sql.Identifier(name)))
        # So that the owner can do the same for the logins that it makes.
        admin.execute(sql.SQL("GRANT SET ON PARAMETER log_min_error_statement TO {}").format(sql.Identifier(OWNER)))


def _let_app_switch(admin: psycopg.Connection[Any], owner: psycopg.Connection[Any], *, allowed: bool) -> None:
    """Whether ks_app may become the public schema's roles and every organization's.

    What the owner has granted, it takes back itself: the administrator need not be a superuser.
    """
    for grantor, names in ((admin, _PUBLIC_ROLES), (owner, organization_roles(owner))):
        for name in names:
            row = grantor.execute("SELECT pg_has_role(%s, %s, 'SET')", [APP, name]).fetchone()
            if allowed == bool(row and row[0]):
                continue
            grant = "GRANT {} TO {} WITH INHERIT FALSE, SET TRUE" if allowed else "REVOKE {} FROM {}"
            grantor.execute(sql.SQL(grant).format(sql.Identifier(name), sql.Identifier(APP)))


def app_may_switch(connection: psycopg.Connection[Any]) -> bool:
    """Whether processes in role mode can work on this server."""
    row = connection.execute("SELECT pg_has_role(%s, %s, 'SET')", [APP, PLATFORM]).fetchone()
    return bool(row and row[0])


def organization_roles(connection: psycopg.Connection[Any]) -> list[str]:
    """The roles of all organizations on this server."""
    rows = connection.execute(
        "SELECT member::regrole::text FROM pg_auth_members WHERE roleid = %s::regrole AND member <> %s::regrole"
        " ORDER BY 1",
        [ORGANIZATION_GROUP, OWNER],
    ).fetchall()
    return list(dict.fromkeys(name for (name,) in rows))


def give_logins(connection: psycopg.Connection[Any], *, secret: str, anew: bool = False) -> list[str]:
    """Let every role log in that cannot yet; `anew`: replace the passwords of the others too.

    Each role in a transaction of its own, so it goes on where it was stopped. Nobody is
    disconnected: who has a password of before asks for the version when it is refused.
    """
    known, given = logins.versions(connection), []
    for role in (*_PUBLIC_ROLES, *organization_roles(connection)):
        version = known.get(role, 0)
        if anew or not version:
            with connection.transaction():
                logins.give(connection, role=role, secret=secret, version=version + 1)
            given.append(role)
    return given


def take_logins_away(connection: psycopg.Connection[Any]) -> list[str]:
    """Go back to role mode: nobody but ks_app and ks_owner logs in."""
    taken = []
    for role in (*_PUBLIC_ROLES, *organization_roles(connection)):
        with connection.transaction():
            logins.take_away(connection, role=role)
        taken.append(role)
    return taken


def _create_role(admin: psycopg.Connection[Any], name: str, attributes: str, *, password: str | None = None) -> None:
    exists = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
    verb = "ALTER" if exists else "CREATE"
    # A literal in the statement: CREATE ROLE takes no parameters. libpq scrambles it before it is sent.
    secret = (
        sql.SQL(" PASSWORD {}").format(
            sql.Literal(admin.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode())
        )
        if password
        else sql.SQL("")
    )
    admin.execute(sql.SQL(verb + " ROLE {} " + attributes).format(sql.Identifier(name)) + secret)


def secure_database(admin: psycopg.Connection[Any], *, database: str) -> None:
    """Take from PUBLIC what PostgreSQL gives everyone, and hand the public schema to ks_owner."""
    name, owner = sql.Identifier(database), sql.Identifier(OWNER)
    for statement in (
        "REVOKE ALL ON DATABASE {db} FROM PUBLIC",
        "GRANT CONNECT ON DATABASE {db} TO ks_app, ks_owner, ks_platform, ks_router, ks_relay, ks_organization",
        "GRANT CREATE ON DATABASE {db} TO ks_owner",
        "ALTER SCHEMA public OWNER TO {owner}",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "GRANT USAGE ON SCHEMA public TO ks_platform, ks_router, ks_relay, ks_organization",
        "CREATE SCHEMA IF NOT EXISTS ext AUTHORIZATION {owner}",
        # What the owner creates later: the platform's role works on it, nobody else without a GRANT.
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public"
        " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ks_platform",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT USAGE ON SEQUENCES TO ks_platform",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE USAGE ON TYPES FROM PUBLIC",
        # Large objects belong to no schema, so an organization could leave one for another to find.
        "REVOKE EXECUTE ON FUNCTION pg_catalog.lo_create(oid), pg_catalog.lo_creat(integer),"
        " pg_catalog.lo_from_bytea(oid, bytea), pg_catalog.lo_open(oid, integer) FROM PUBLIC",
        # Notifications cross organizations; we use none.
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_notify(text, text) FROM PUBLIC",
    ):
        admin.execute(sql.SQL(statement).format(db=name, owner=owner))


def create_organization_role(
    connection: psycopg.Connection[Any], *, role: str, login_secret: str | None = None
) -> None:
    """Make an organization's role, if it is not there, and let ks_app switch to it.

    In login mode, `login_secret` makes it a login; ks_app may switch to it only where it may
    become the platform's role too. Needs ks_owner's login. Roles belong to the server, so a second
    database (a restored copy) may meet one that exists.
    """
    with connection.transaction():
        create_bare_role(connection, role=role, login_secret=login_secret)
        let_logins_switch(connection, role=role)


def create_bare_role(connection: psycopg.Connection[Any], *, role: str, login_secret: str | None = None) -> None:
    """Make an organization's role, if it is not there, for now without a group. Inside a transaction."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))", [role, _ROLES_LOCK])
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN INHERIT").format(sql.Identifier(role)))
    if login_secret and not logins.versions(connection, role=role):
        logins.give(connection, role=role, secret=login_secret, version=1)


def let_logins_switch(connection: psycopg.Connection[Any], *, role: str) -> None:
    """Put an organization's role into its group, and let those switch to it who may become the platform's too.

    PostgreSQL lets one transaction at a time change a group's members: in a long one, do this last.
    """
    names = {"role": sql.Identifier(role), "group": sql.Identifier(ORGANIZATION_GROUP)}
    grants = [
        "GRANT {group} TO {role} WITH INHERIT TRUE, SET FALSE",
        "GRANT {role} TO ks_owner WITH INHERIT FALSE, SET TRUE",
    ]
    if app_may_switch(connection):
        grants.append("GRANT {role} TO ks_app WITH INHERIT FALSE, SET TRUE")
    for grant in grants:
        connection.execute(sql.SQL(grant).format(**names))


def create_organization_schema(connection: psycopg.Connection[Any], *, schema: str, role: str) -> None:
    """Make an empty schema owned by ks_owner in which `role` may read and insert, by default.

    Raises ValueError for a name that a login would find as its own schema, outside every context.
    """
    if schema in (OWNER, APP, ORGANIZATION_GROUP, *_PUBLIC_ROLES):
        raise ValueError(f"{schema} is a login's name")
    names = {
        "schema": sql.Identifier(schema),
        "role": sql.Identifier(role),
        "owner": sql.Identifier(OWNER),
    }
    for statement in (
        "CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner}",
        "GRANT USAGE ON SCHEMA {schema} TO {role}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT SELECT, INSERT ON TABLES TO {role}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT USAGE ON SEQUENCES TO {role}",
    ):
        connection.execute(sql.SQL(statement).format(**names))


def _with_database(url: str, database: str) -> str:
    parts = urlsplit(url)
    return parts._replace(path=f"/{database}").geturl()
