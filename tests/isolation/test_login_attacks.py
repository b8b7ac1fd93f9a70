"""Injected SQL that undoes what role mode relies on, from fifty organizations in login mode.

An attack is judged by what it did, not by the error that it met: whether a mark of the victim's
came back, whether the connection has become somebody else, and whether anything in the database has
changed. The same attacks in role mode are the control: there some of them get through (ADR 0012).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
import pytest
from django.db import Error, close_old_connections, connection, transaction

from engine.tenancy import roles
from engine.tenancy.context import OrganizationContext, organization, public_schema
from tests.harness import environment
from tests.harness.live import LiveDatabase, live_database
from tests.harness.login_mode import login_mode

ORGANIZATIONS = 50
# Roles belong to the server, which the workers share.
TOWN = f"town_{environment.WORKER}"

# {r}: the victim's role. {s}: its schema. {me}: one's own role.
ATTACKS = {
    "set role": "SET ROLE {r}; SELECT * FROM {s}.secret",
    "set local role": "SET LOCAL ROLE {r}; SELECT * FROM {s}.secret",
    "reset role": "RESET ROLE; SET ROLE {r}; SELECT * FROM {s}.secret",
    "reset all": "RESET ALL; SET ROLE {r}; SELECT * FROM {s}.secret",
    "role none": "SET ROLE NONE; SET ROLE {r}; SELECT * FROM {s}.secret",
    "discard all": "DISCARD ALL",
    "session authorization": "SET SESSION AUTHORIZATION {r}; SELECT * FROM {s}.secret",
    "default authorization": "SET SESSION AUTHORIZATION DEFAULT; SET ROLE {r}; SELECT * FROM {s}.secret",
    "reset authorization": "RESET SESSION AUTHORIZATION; RESET ROLE; SET ROLE {r}; SELECT * FROM {s}.secret",
    "config role": "SELECT set_config('role', '{r}', false); SELECT * FROM {s}.secret",
    "config local role": "SELECT set_config('role', '{r}', true); SELECT * FROM {s}.secret",
    "config no role": "SELECT set_config('role', 'none', false); SET ROLE {r}; SELECT * FROM {s}.secret",
    "config authorization": "SELECT set_config('session_authorization', '{r}', false); SELECT * FROM {s}.secret",
    "config path": "SELECT set_config('search_path', '{s}', false); SELECT * FROM secret",
    "config row security": "SELECT set_config('row_security', 'off', false); SELECT * FROM public.outbox_message",
    "config in a query": "SELECT x.* FROM (SELECT set_config('role', '{r}', false)) c, {s}.secret x",
    "set path": "SET search_path TO {s}; SELECT * FROM secret",
    "stacked": "SELECT 1; SELECT * FROM {s}.secret",
    "stacked commit": "COMMIT; RESET ROLE; SET ROLE {r}; SELECT * FROM {s}.secret",
    "stacked rollback": "ROLLBACK; BEGIN; SET LOCAL ROLE {r}; SELECT * FROM {s}.secret; COMMIT",
    "stacked write": "COMMIT; SET ROLE {r}; INSERT INTO {s}.secret VALUES ('planted')",
    "stacked savepoint": "SAVEPOINT x; SET ROLE {r}; ROLLBACK TO SAVEPOINT x; SELECT * FROM {s}.secret",
    "the owner": "RESET ROLE; SET ROLE ks_owner; SELECT * FROM {s}.secret",
    "the app": "RESET ROLE; SET ROLE ks_app; SET ROLE {r}; SELECT * FROM {s}.secret",
    "the platform": "RESET ROLE; SET ROLE ks_platform; SELECT issuer FROM public.organizations_organization",
    "the group": "RESET ROLE; SET ROLE ks_organization; SELECT * FROM {s}.secret",
    "the superuser": "RESET ROLE; SET ROLE postgres; SELECT * FROM {s}.secret",
    "do": "DO $$ BEGIN EXECUTE 'SET ROLE {r}'; EXECUTE 'INSERT INTO {s}.secret VALUES (''planted'')'; END $$",
    "do reset": "DO $$ BEGIN RESET ROLE; SET ROLE {r}; INSERT INTO {s}.secret VALUES ('planted'); END $$",
    "do raise": "DO $$ DECLARE x text; BEGIN SET ROLE {r}; SELECT whose INTO x FROM {s}.secret; RAISE '%', x; END $$",
    "do commit": "COMMIT; DO $$ BEGIN RESET ROLE; COMMIT; SET ROLE {r}; DELETE FROM {s}.secret; END $$",
    "definer": "CREATE FUNCTION f() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT whose FROM {s}.secret'",
    "definer in temp": "CREATE FUNCTION pg_temp.f() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT 1::text'",
    "definer with a role": "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER SET role = {r} AS 'SELECT 1'",
    "definer of another": "ALTER FUNCTION pg_catalog.version() SECURITY DEFINER",
    "dblink": "CREATE EXTENSION dblink; SELECT * FROM dblink('user={r}', 'SELECT whose FROM {s}.secret') AS t(x text)",
    "dblink in ext": "SELECT * FROM ext.dblink('user={r}', 'SELECT whose FROM {s}.secret') AS t(whose text)",
    "postgres_fdw": "CREATE EXTENSION postgres_fdw; CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw",
    "foreign wrapper": "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w",
    "foreign schema": "IMPORT FOREIGN SCHEMA {s} FROM SERVER s INTO {s}",
    "subscription": "CREATE SUBSCRIPTION s CONNECTION 'user={r}' PUBLICATION p WITH (connect = false)",
    "publication": "CREATE PUBLICATION p FOR TABLE {s}.secret",
    "grant oneself": "GRANT {r} TO {me}; SET ROLE {r}; SELECT * FROM {s}.secret",
    "take another's password": "ALTER ROLE {r} PASSWORD 'mine'",
    "another's default": "ALTER ROLE {r} SET search_path TO public",
    "become a maker": "ALTER ROLE {me} CREATEROLE",
    "become a superuser": "ALTER ROLE {me} SUPERUSER",
    "become a replica": "ALTER ROLE {me} REPLICATION BYPASSRLS",
    "a role of one's own": "CREATE ROLE smuggled LOGIN IN ROLE {r}",
    "owned by another": "REASSIGN OWNED BY {r} TO {me}",
    "drop another's": "DROP OWNED BY {r}",
    "another's defaults": "ALTER DEFAULT PRIVILEGES FOR ROLE ks_owner IN SCHEMA {s} GRANT ALL ON TABLES TO {me}",
    "schema": "ALTER SCHEMA {s} OWNER TO {me}",
    "schema's usage": "GRANT USAGE ON SCHEMA {s} TO {me}",
    "table's owner": "ALTER TABLE {s}.secret OWNER TO {me}",
    "rule": "CREATE RULE r AS ON INSERT TO {s}.secret DO ALSO NOTHING",
    "policy": "CREATE POLICY p ON public.outbox_message TO {me} USING (true)",
    "prepared": "PREPARE p AS SELECT * FROM {s}.secret; EXECUTE p",
    "cursor with hold": "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM {s}.secret; FETCH ALL FROM c",
    "as xml": "SELECT schema_to_xml('{s}', true, false, '')",
    "as xml by query": "SELECT query_to_xml('SET ROLE {r}', true, false, ''); SELECT * FROM {s}.secret",
    "database as xml": "SELECT database_to_xml(true, false, '')",
    "others' statements": "SELECT query FROM pg_stat_activity",
    "others' statistics": "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats",
    "end another's session": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{r}'",
    "verifiers": "SELECT rolname || rolpassword FROM pg_authid; SELECT passwd FROM pg_shadow",
    "server program": "COPY (SELECT 1) TO PROGRAM 'psql -U {r}'",
    "server file": "SELECT pg_read_file('pg_hba.conf'); SELECT lo_import('/etc/passwd')",
    "load": "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0",
    "preload": "ALTER DATABASE {db} SET session_preload_libraries = 'x'; ALTER SYSTEM SET port = 1",
    "event trigger": "CREATE EVENT TRIGGER t ON sql_drop EXECUTE FUNCTION f()",
    "language": "CREATE LANGUAGE plpython3u; CREATE LANGUAGE plperlu",
    "operator": "CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq)",
    "cast": "CREATE CAST (text AS int) WITH INOUT AS IMPLICIT",
    "message in another's name": "INSERT INTO public.outbox_message (id, org_role, name, queue, payload)"
    " VALUES (gen_random_uuid(), '{r}', 'events.seal', 'default', '{{}}')",
}
# In role mode these get through, and so show that the judgement below can tell.
KNOWN_HOLES = {"reset role", "role none", "config no role", "stacked commit", "do reset"}


@dataclass(frozen=True, slots=True)
class Town:
    """Fifty organizations with a secret each, and a way to see what became of them."""

    database: LiveDatabase
    organizations: list[OrganizationContext]

    def fingerprint(self) -> list[tuple[object, ...]]:
        """Everything that an attack may have changed, as a superuser sees it."""
        with psycopg.connect(_superuser(self.database.name)) as admin:
            rows = [
                ("secret", context.slug, *row)
                for context in self.organizations
                for row in admin.execute(f"SELECT whose FROM {context.schema_name}.secret ORDER BY 1").fetchall()
            ]
            for catalog in _CATALOGS:
                row = admin.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {catalog}").fetchone()
                rows.append((catalog, *(row or ())))
        return rows


_CATALOGS = (
    "(SELECT rolname, rolsuper, rolcreaterole, rolreplication, rolbypassrls, rolpassword FROM pg_authid"
    f" WHERE rolname LIKE 'ks_o_{TOWN}%') t",
    "(SELECT roleid, member, set_option FROM pg_auth_members"
    f" WHERE '{TOWN}' = ANY (ARRAY[substr(roleid::regrole::text, 6, {len(TOWN)}),"
    f" substr(member::regrole::text, 6, {len(TOWN)})])) t",
    "(SELECT oid, nspowner, nspacl FROM pg_namespace WHERE nspname NOT LIKE 'pg_t%') t",
    "(SELECT oid, relowner, relacl FROM pg_class WHERE relnamespace <> 11) t",
    "(SELECT oid, proowner, prosecdef FROM pg_proc) t",
    "(SELECT oid, extname FROM pg_extension) t",
    "(SELECT oid FROM pg_largeobject_metadata) t",
    "(SELECT oid, polname FROM pg_policy) t",
    "(SELECT srvname FROM pg_foreign_server) t",
    "(SELECT subname FROM pg_subscription) t",
    "(SELECT id, org_role FROM public.outbox_message) t",
    "pg_default_acl t",
)


def _superuser(database: str) -> str:
    return urlsplit(os.environ["KEYSTEAD_TEST_POSTGRES_URL"])._replace(path=f"/{database}").geturl()


@contextmanager
def _town(count: int) -> Iterator[Town]:
    names = [(f"ks_o_{TOWN}_{number}", f"o_{TOWN}_{number}") for number in range(count)]
    try:
        with live_database() as database:
            with psycopg.connect(database.owner_url, autocommit=True) as owner:
                for number, (role, schema) in enumerate(names):
                    roles.create_organization_role(owner, role=role, login_secret=environment.LOGIN_SECRET)
                    roles.create_organization_schema(owner, schema=schema, role=role)
                    owner.execute(f"CREATE TABLE {schema}.secret (whose text)")
                    owner.execute(f"INSERT INTO {schema}.secret VALUES ('mark-of-{number}-')")
                owner.execute("ANALYZE")
            yield Town(database, [_context(n, role=role, schema=schema) for n, (role, schema) in enumerate(names)])
    finally:
        with psycopg.connect(os.environ["KEYSTEAD_TEST_POSTGRES_URL"], autocommit=True) as admin:
            for role, _ in names:
                admin.execute(f"DROP ROLE IF EXISTS {role}")


def _context(number: int, *, role: str, schema: str) -> OrganizationContext:
    return OrganizationContext(
        id=UUID(int=number),
        slug=f"town-{number}",
        schema_name=schema,
        role_name=role,
        issuer=f"http://town-{number}.keystead.test",
        environment="test",
        cell="default",
        time_zone="UTC",
        locale="en",
        currency="EUR",
        status="active",
    )


@pytest.fixture
def town(django_db_setup: None, django_db_blocker: object) -> Iterator[Town]:
    with django_db_blocker.unblock(), _town(ORGANIZATIONS) as made:  # type: ignore[attr-defined]
        yield made


def attack(statement: str, *, attacker: OrganizationContext, marks: set[str], in_transaction: bool) -> set[str]:
    """What the statement gave away, by what came back and by whom the connection is afterwards."""
    found: set[str] = set()
    with organization(attacker):
        try:
            if in_transaction:
                with transaction.atomic():
                    found |= _seen(statement, marks)
            else:
                found |= _seen(statement, marks)
        except Error as refused:
            found |= {mark for mark in marks if mark in str(refused)}
        except psycopg.Error as refused:
            found |= {mark for mark in marks if mark in str(refused)}
        with suppress(Error, psycopg.Error):
            found |= _seen("SELECT whose FROM secret", marks)
        close_old_connections()
    return found


def _seen(statement: str, marks: set[str]) -> set[str]:
    seen = ""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        while True:
            seen += repr(cursor.fetchall()) if cursor.description else ""
            if not cursor.nextset():
                return {mark for mark in marks if mark in seen}


def attacks_by(number: int, town: Town) -> set[tuple[str, str]]:
    """Every attack from organization `number` on the next one; which of them got what."""
    attacker = town.organizations[number]
    victim = town.organizations[(number + 1) % len(town.organizations)]
    marks = {f"mark-of-{other}-" for other in range(len(town.organizations)) if other != number}
    marks |= {"http://org-a", "SCRAM-SHA-256$"}
    # The victim has a session, whose last statement names its secret.
    with organization(victim), connection.cursor() as cursor:
        cursor.execute(f"SELECT whose FROM secret WHERE whose <> 'mark-of-{number + 1}-x'")
    fallen = set()
    for turn, (name, text) in enumerate(ATTACKS.items()):
        statement = text.format(r=victim.role_name, s=victim.schema_name, me=attacker.role_name, db=town.database.name)
        # Every other attack inside a transaction, and for the neighbours the other way round.
        in_transaction = (turn + number) % 2 == 0
        found = attack(statement, attacker=attacker, marks=marks, in_transaction=in_transaction)
        fallen |= {(name, got) for got in found}
    return fallen


def test_a_default_role_of_ones_own_choice_ends_at_the_login(town):
    """Every role may set defaults for itself; a forbidden one only keeps its own sessions from starting."""
    attacker, victim = town.organizations[:2]
    with login_mode(), organization(attacker):
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER ROLE {attacker.role_name} SET role = '{victim.role_name}'")
        connection.close()
        with suppress(Error):
            assert _seen("SELECT whose FROM secret", {"mark-of-1-"}) == set()


def test_in_login_mode_no_injected_statement_leaves_its_organization(town):
    with login_mode():
        before = town.fingerprint()
        fallen = {number: attacks_by(number, town) for number in range(ORGANIZATIONS)}
        assert {number: got for number, got in fallen.items() if got} == {}
        assert town.fingerprint() == before
        # And nobody's connections were left in a state that shows another's rows.
        for number, context in enumerate(town.organizations):
            with organization(context), connection.cursor() as cursor:
                cursor.execute("SELECT session_user::text, current_user::text, whose FROM secret")
                assert cursor.fetchall() == [(context.role_name, context.role_name, f"mark-of-{number}-")]
        with public_schema(), connection.cursor() as cursor:
            cursor.execute("SELECT session_user::text")
            assert cursor.fetchone() == ("ks_platform",)


def test_planted_the_same_attacks_get_through_where_the_login_may_switch(town):
    if environment.ISOLATION == "login":
        # Put the hole where this run has none: a login that may become its neighbour.
        with psycopg.connect(town.database.owner_url, autocommit=True) as owner:
            neighbour, attacker = (context.role_name for context in (town.organizations[1], town.organizations[0]))
            owner.execute(f"GRANT {neighbour} TO {attacker} WITH INHERIT FALSE, SET TRUE")
    before = town.fingerprint()
    fallen = {name for name, _ in attacks_by(0, town)}
    changed = town.fingerprint() != before
    assert fallen >= KNOWN_HOLES - {"do reset"}
    assert changed
