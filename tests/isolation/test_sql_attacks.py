"""SQL written against another organization, from inside one's own context, on every table there is.

What PostgreSQL's roles close is proven here; undoing SET ROLE by injected SQL is not (ADR 0012).
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from django.db import DatabaseError, ProgrammingError, connection, transaction
from psycopg import errors

from engine.tenancy.context import OrganizationContext, organization
from engine.tenancy.wall import ROLES_OWN_PATH
from tests.harness.live import LiveDatabase

# Whatever gets through is rolled back.
pytestmark = pytest.mark.commits_nothing

REFUSALS = (errors.InsufficientPrivilege, errors.UndefinedTable, errors.InvalidSchemaName, errors.UndefinedFunction)

# {t}: the attacked table, qualified. {n}: its bare name. {s}: its schema.
ATTACKS = {
    "select": "SELECT * FROM {t} LIMIT 1",
    "table": "TABLE {t}",
    "count": "SELECT count(*) FROM {t}",
    "system column": "SELECT ctid FROM {t}",
    "join": "SELECT 1 FROM django_migrations m JOIN {t} x ON true",
    "lateral": "SELECT 1 FROM django_migrations m, LATERAL (SELECT * FROM {t}) x",
    "subquery": "SELECT (SELECT count(*) FROM {t})",
    "cte": "WITH x AS (SELECT * FROM {t}) SELECT * FROM x",
    "lock": "SELECT 1 FROM {t} FOR UPDATE",
    "insert": "INSERT INTO {t} DEFAULT VALUES",
    "insert from": "INSERT INTO {t} SELECT * FROM {t}",
    "delete": "DELETE FROM {t}",
    "truncate": "TRUNCATE {t}",
    "drop": "DROP TABLE {t}",
    "alter": "ALTER TABLE {t} DISABLE ROW LEVEL SECURITY",
    "grant": "GRANT SELECT ON {t} TO CURRENT_USER",
    "explain": "EXPLAIN ANALYZE SELECT * FROM {t}",
    "view": "CREATE VIEW peek AS SELECT * FROM {t}",
    "function": "SELECT query_to_xml('SELECT * FROM {t}', true, false, '')",
    "function in path": "SELECT table_to_xml('{t}'::regclass, true, false, '')",
    "copy out": "COPY {t} TO STDOUT",
    "copy query": "COPY (SELECT * FROM {t}) TO STDOUT",
    "copy in": "COPY {t} FROM STDIN",
    "do block": "DO $$ BEGIN PERFORM * FROM {t}; END $$",
    "forged path": "SET LOCAL search_path TO {s}; SELECT * FROM {n}",
    "forged path by function": "SELECT set_config('search_path', '{s}', true); SELECT * FROM {n}",
    "copy to a program": "COPY {t} TO PROGRAM 'cat'",
}
# Attacks that need no table of the victim's.
GENERAL = {
    "temporary table": "CREATE TEMP TABLE events_event (id int)",
    "own schema's table": "CREATE TABLE smuggled (id int)",
    "new schema": "CREATE SCHEMA smuggled",
    "new function": "CREATE FUNCTION smuggled() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "read a file": "SELECT pg_read_file('/etc/passwd')",
    "large object": "SELECT lo_from_bytea(0, 'left for b')",
    "notify": "SELECT pg_notify('b', 'psst')",
    "another's role": "SET LOCAL ROLE ks_owner",
    "another's session": "SET SESSION AUTHORIZATION ks_owner",
    "sessions of others": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ks_owner'",
    "statistics": "SELECT most_common_vals FROM pg_stats WHERE schemaname = 'ks_o_test_b'",
    "passwords": "SELECT rolpassword FROM pg_authid",
    "extension": "CREATE EXTENSION dblink",
}
# What an organization may touch outside its schema: it inserts into the outbox, as itself.
OUTBOX = "public.outbox_message"
PERMITTED = {("insert", OUTBOX), ("copy in", OUTBOX)}


def tables_of(schema: str) -> list[str]:
    with psycopg.connect(_owner_url()) as owner:
        rows = owner.execute(
            "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = %s AND relkind IN ('r', 'p', 'v', 'm', 'S') ORDER BY 1",
            [schema],
        ).fetchall()
    return [name for (name,) in rows]


def _owner_url() -> str:
    from tests.harness import environment

    return environment.owner_url(str(connection.settings_dict["NAME"]))


def succeeded(attack: str, *, table: str) -> bool:
    """Whether the attack got anything; rolled back either way."""
    schema, _, name = table.partition(".")
    statement = attack.format(t=table, n=name, s=schema)
    try:
        with transaction.atomic():
            _run(statement)
            raise _GotThrough
    except _GotThrough:
        return True
    except (DatabaseError, psycopg.Error) as error:
        # A copy's errors come from psycopg as they are.
        cause = error if isinstance(error, psycopg.Error) else error.__cause__
        if isinstance(cause, REFUSALS):
            return False
        if isinstance(cause, errors.WrongObjectType | errors.FeatureNotSupported):
            # The statement does not fit the object (FOR UPDATE of a sequence).
            return False
        if isinstance(cause, errors.IntegrityError):
            # Privileges let it through; only the row did not fit.
            return True
        raise


class _GotThrough(Exception):
    pass


def _run(statement: str) -> None:
    with connection.cursor() as cursor:
        if statement.startswith("COPY"):
            with cursor.copy(statement) as copy:
                if " TO " in statement:
                    list(copy)
            return
        cursor.execute(statement)
        while cursor.nextset():
            pass


@pytest.fixture
def attacked(org_a: OrganizationContext, org_b: OrganizationContext) -> Iterator[list[str]]:
    others = [f"{org_b.schema_name}.{name}" for name in tables_of(org_b.schema_name)]
    private = [f"public.{name}" for name in tables_of("public")]
    assert len(others) > 10
    assert len(private) > 5
    with organization(org_a):
        _run("SELECT 1")
        # As outside tests: the role alone was set, and the path follows it.
        assert connection.connection.pgconn.parameter_status(b"search_path") == ROLES_OWN_PATH.encode()
        yield [*others, *private]


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_no_table_of_another_organization_or_of_the_platform_yields(attacked, attack):
    name = next(key for key, value in ATTACKS.items() if value == attack)
    fallen = [t for t in attacked if (name, t) not in PERMITTED and succeeded(attack, table=t)]
    assert fallen == []


@pytest.mark.parametrize("attack", GENERAL.values(), ids=GENERAL.keys())
def test_nothing_else_reaches_out(in_org_a, attack):
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(attack)
            rows = cursor.fetchall() if cursor.description else ["done"]
    except ProgrammingError as error:
        assert isinstance(error.__cause__, REFUSALS)
    else:
        assert rows == []


def test_updates_are_refused_column_by_column(attacked):
    for table in attacked:
        schema, _, name = table.partition(".")
        with psycopg.connect(_owner_url()) as owner:
            columns = owner.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s",
                [schema, name],
            ).fetchall()
        for (column,) in columns:
            assert not succeeded(f'UPDATE {{t}} SET "{column}" = "{column}"', table=table)


def test_a_missing_table_of_ones_own_is_not_found_elsewhere(live_db: LiveDatabase, org_a, org_b):
    with psycopg.connect(live_db.owner_url, autocommit=True) as owner:
        owner.execute(f"DROP TABLE {org_a.schema_name}.idempotency_key")
    with organization(org_a), pytest.raises(ProgrammingError) as refused, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM idempotency_key")
    assert isinstance(refused.value.__cause__, errors.UndefinedTable)


def test_the_outbox_takes_no_message_in_anothers_name(in_org_a, org_b):
    statement = (
        "INSERT INTO public.outbox_message (id, org_role, name, queue, payload)"
        " VALUES (gen_random_uuid(), %s, 'events.seal', 'default', '{}')"
    )
    with (
        pytest.raises(ProgrammingError, match="row-level security"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement, [org_b.role_name])


def test_planted_a_granted_table_is_noticed(live_db: LiveDatabase, org_a, org_b):
    table = f"{org_b.schema_name}.idempotency_key"
    with psycopg.connect(live_db.owner_url, autocommit=True) as owner:
        owner.execute(f"GRANT USAGE ON SCHEMA {org_b.schema_name} TO {org_a.role_name}")
        owner.execute(f"GRANT SELECT ON {table} TO {org_a.role_name}")
    with organization(org_a):
        for attack in ("select", "join", "copy out", "forged path", "function"):
            assert succeeded(ATTACKS[attack], table=table), attack
        assert not succeeded(ATTACKS["insert"], table=table)
