"""Injected SQL that undoes what role mode relies on, from fifty organizations in login mode.

An attack is judged by what it did, not by the error that it met: whether a mark of the victim's
came back, whether the connection has become somebody else, and whether anything in the database has
changed. The same attacks in role mode are the control: there some of them get through (ADR 0012).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
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
# Nobody may rotate passwords meanwhile, which the fingerprint would show.
pytestmark = pytest.mark.xdist_group("logins")
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
    "verifiers": "SELECT rolname || rolpassword FROM pg_authid",
    "shadow": "SELECT passwd FROM pg_shadow",
    "server program": "COPY (SELECT 1) TO PROGRAM 'psql -U {r}'",
    "server file": "SELECT 'file-of-the-server', pg_read_file('PG_VERSION')",
    "large object": "SELECT lo_import('/etc/passwd')",
    "load": "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0",
    "preload": "ALTER DATABASE {db} SET session_preload_libraries = 'x'",
    "the server's settings": "ALTER SYSTEM SET application_name = 'planted'",
    "the database's rights": "GRANT CREATE ON DATABASE {db} TO {me}",
    "event trigger": "CREATE EVENT TRIGGER t ON sql_drop EXECUTE FUNCTION f()",
    "language": "CREATE LANGUAGE l HANDLER pg_catalog.plpgsql_call_handler",
    "operator": "CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq)",
    "cast": "CREATE CAST (text AS int) WITH INOUT AS IMPLICIT",
    "message in another's name": "INSERT INTO public.outbox_message (id, org_role, name, queue, payload)"
    " VALUES (gen_random_uuid(), '{r}', 'events.seal', 'default', '{{}}')",
}
# In role mode these get through, and so show that the judgement below can tell.
KNOWN_HOLES = {"reset role", "role none", "config no role", "stacked commit"}
KNOWN_HOLE_THAT_CHANGES = "do reset"


@dataclass(frozen=True, slots=True)
class Town:
    """Fifty organizations with a secret each, and a way to see what became of them."""

    database: LiveDatabase
    organizations: list[OrganizationContext]

    def fingerprint(self) -> dict[str, object]:
        """Everything that an attack may have changed, as a superuser sees it."""
        with psycopg.connect(_superuser(self.database.name)) as admin:
            secrets = {
                context.slug: admin.execute(f"SELECT whose FROM {context.schema_name}.secret ORDER BY 1").fetchall()
                for context in self.organizations
            }
            return {**secrets, **catalogs(admin)}


# Roles and their settings belong to the server, which others use too: ours alone are looked at.
_OURS = f"rolname LIKE 'ks\\_o\\_{TOWN}%' OR rolname = 'smuggled'"
CATALOGS = {
    "roles": "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls,"
    f" rolpassword FROM pg_authid WHERE {_OURS}",
    "memberships": "SELECT roleid, member, admin_option, inherit_option, set_option FROM pg_auth_members"
    f" WHERE EXISTS (SELECT 1 FROM pg_roles WHERE oid IN (roleid, member) AND ({_OURS}))",
    "settings of roles": "SELECT s.* FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = setrole"
    f" WHERE {_OURS} OR setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
    "settings of the server": "SELECT name, setting FROM pg_file_settings WHERE sourcefile LIKE '%auto.conf'",
    "database": "SELECT datdba, datacl FROM pg_database WHERE datname = current_database()",
    "schemas": "SELECT oid, nspowner, nspacl FROM pg_namespace WHERE nspname NOT LIKE 'pg_t%'",
    "relations": "SELECT oid, relowner, relacl FROM pg_class WHERE relnamespace <> 11",
    "rules": "SELECT oid, ev_class, rulename, ev_type, ev_enabled FROM pg_rewrite",
    "policies": "SELECT oid, polrelid, polname, polroles FROM pg_policy",
    "functions": "SELECT oid, proowner, prosecdef, proacl FROM pg_proc",
    "languages": "SELECT oid, lanowner, lanpltrusted, lanacl FROM pg_language",
    "operators": "SELECT oid, oprnamespace, oprcode FROM pg_operator",
    "casts": "SELECT castsource, casttarget, castcontext, castmethod FROM pg_cast",
    "event triggers": "SELECT oid, evtenabled FROM pg_event_trigger",
    "extensions": "SELECT oid, extname FROM pg_extension",
    "large objects": "SELECT oid, lomowner FROM pg_largeobject_metadata",
    "wrappers": "SELECT fdwname, fdwowner FROM pg_foreign_data_wrapper",
    "foreign servers": "SELECT srvname, srvowner FROM pg_foreign_server",
    "subscriptions": "SELECT subname, subowner FROM pg_subscription",
    "publications": "SELECT oid, pubname, pubowner FROM pg_publication",
    "messages": "SELECT id, org_role FROM public.outbox_message",
    "default privileges": "SELECT * FROM pg_default_acl",
}
# For each of them something that a superuser may do, which it must show.
CHANGES = {
    "roles": ATTACKS["become a replica"],
    "memberships": "GRANT {r} TO {me}",
    "settings of roles": ATTACKS["another's default"] + ";" + ATTACKS["preload"],
    "settings of the server": ATTACKS["the server's settings"],
    "database": ATTACKS["the database's rights"],
    "schemas": ATTACKS["schema's usage"],
    "relations": ATTACKS["table's owner"],
    "rules": ATTACKS["rule"],
    "policies": ATTACKS["policy"],
    "functions": ATTACKS["definer of another"],
    "languages": ATTACKS["language"],
    "operators": ATTACKS["operator"],
    "casts": ATTACKS["cast"],
    "event triggers": "CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
    + ATTACKS["event trigger"],
    "extensions": "DROP EXTENSION plpgsql",
    "large objects": ATTACKS["large object"],
    "wrappers": "CREATE FOREIGN DATA WRAPPER w",
    "foreign servers": ATTACKS["foreign wrapper"],
    "subscriptions": ATTACKS["subscription"],
    "publications": ATTACKS["publication"],
    "messages": ATTACKS["message in another's name"],
    "default privileges": ATTACKS["another's defaults"],
}


def catalogs(admin: psycopg.Connection[tuple[object, ...]]) -> dict[str, object]:
    """One value for each catalog, which changes with it."""
    return {
        name: admin.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM ({query}) t").fetchone()
        for name, query in CATALOGS.items()
    }


def _superuser(database: str) -> str:
    return urlsplit(os.environ["KEYSTEAD_TEST_POSTGRES_URL"])._replace(path=f"/{database}").geturl()


@contextmanager
def _town(count: int, *, name: str = "") -> Iterator[Town]:
    names = [(f"ks_o_{TOWN}_{name}{number}",) * 2 for number in range(count)]
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


@pytest.fixture(scope="module")
def pair(django_db_setup: None, django_db_blocker: object) -> Iterator[Town]:
    """Two organizations, for what is planted: each test takes back what it plants, or names a role of its own."""
    with django_db_blocker.unblock(), _town(2, name="pair_") as made:  # type: ignore[attr-defined]
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


def attacks_by(number: int, town: Town, names: Collection[str] = ATTACKS) -> set[tuple[str, str]]:
    """Attacks from organization `number` on the next one; which of them got what."""
    attacker = town.organizations[number]
    target = (number + 1) % len(town.organizations)
    victim = town.organizations[target]
    marks = {f"mark-of-{other}-" for other in range(len(town.organizations)) if other != number}
    marks |= {"http://org-a", "SCRAM-SHA-256$", "file-of-the-server"}
    session = _session_of(victim, naming=f"mark-of-{target}-x")
    fallen = set()
    for turn, name in enumerate(names):
        statement = ATTACKS[name].format(**_names(town, attacker=attacker, victim=victim))
        # Every other attack inside a transaction, and for the neighbours the other way round.
        in_transaction = (turn + number) % 2 == 0
        found = attack(statement, attacker=attacker, marks=marks, in_transaction=in_transaction)
        fallen |= {(name, got) for got in found}
    if _session_of(victim, naming="x") != session:
        fallen.add(("the victim's session", "was ended"))
    return fallen


def _session_of(context: OrganizationContext, *, naming: str) -> int:
    """The backend of an organization; its last statement names a mark."""
    with organization(context), connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_backend_pid() FROM (SELECT 1) one WHERE '{naming}' <> ''")
        row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def _names(town: Town, *, attacker: OrganizationContext, victim: OrganizationContext) -> dict[str, str]:
    return {"r": victim.role_name, "s": victim.schema_name, "me": attacker.role_name, "db": town.database.name}


def test_a_default_role_of_ones_own_choice_ends_at_the_login(pair):
    """Every role may set defaults for itself; a forbidden one is not what RESET ROLE goes back to."""
    attacker, victim = pair.organizations
    statement = f"RESET ROLE; SELECT whose FROM {victim.schema_name}.secret"

    def reached() -> set[str]:
        with login_mode():
            return attack(statement, attacker=attacker, marks={"mark-of-1-"}, in_transaction=False)

    with psycopg.connect(pair.database.owner_url, autocommit=True) as owner:
        with login_mode(), organization(attacker), connection.cursor() as cursor:
            cursor.execute(f"ALTER ROLE {attacker.role_name} SET role = '{victim.role_name}'")
        assert reached() == set()
        # Planted: now the default is one that it may have.
        owner.execute(f"GRANT {victim.role_name} TO {attacker.role_name} WITH INHERIT FALSE, SET TRUE")
        assert reached() == {"mark-of-1-"}
        owner.execute(f"REVOKE {victim.role_name} FROM {attacker.role_name}")
        owner.execute(f"ALTER ROLE {attacker.role_name} RESET role")


def test_planted_whatever_changes_in_the_database_shows_in_its_fingerprint(pair):
    attacker, victim = pair.organizations
    assert set(CHANGES) == set(CATALOGS)
    with psycopg.connect(_superuser(pair.database.name), autocommit=True) as admin:
        before = catalogs(admin)
        for name, text in CHANGES.items():
            statement = text.format(**_names(pair, attacker=attacker, victim=victim))
            if alone := statement.startswith("ALTER SYSTEM"):
                admin.execute(statement)
            else:
                admin.execute(f"BEGIN; {statement}")
            changed = {each for each, value in catalogs(admin).items() if value != before[each]}
            admin.execute("ALTER SYSTEM RESET application_name" if alone else "ROLLBACK")
            assert name in changed
        assert catalogs(admin) == before


def test_planted_a_session_that_another_ended_is_noticed(pair):
    attacker = pair.organizations[0].role_name
    with psycopg.connect(_superuser(pair.database.name), autocommit=True) as admin, login_mode():
        admin.execute(f"GRANT pg_signal_backend TO {attacker}")
        fallen = attacks_by(0, pair, ["end another's session"])
        admin.execute(f"REVOKE pg_signal_backend FROM {attacker}")
    assert fallen == {("the victim's session", "was ended")}


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
    attacks_by(0, town, [KNOWN_HOLE_THAT_CHANGES])
    assert town.fingerprint() != before
    assert {name for name, _ in attacks_by(0, town)} >= KNOWN_HOLES
