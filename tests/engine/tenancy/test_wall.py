"""The second wall: every trap that a search path has fallen into, with the hole planted beside it."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace

import psycopg
import pytest
from django.db import InterfaceError, OperationalError, ProgrammingError, connection, connections, transaction

from engine.tenancy import roles
from engine.tenancy.context import (
    NoOrganization,
    current_scope,
    organization,
    public_schema,
    routing_schema,
)
from engine.tenancy.postgres.base import Cursor
from engine.tenancy.wall import ROLES_OWN_PATH, ContextSwitchError, Scope, Wall, WallError, settings_sql
from tests.harness import environment

WHOSE = "SELECT whose FROM probe"


def test_a_test_without_a_database_does_not_find_one_that_is_open(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        connection.ensure_connection()
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        connection.cursor()
    with django_db_blocker.unblock():
        connection.close()


def one(statement: str, params=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        row = cursor.fetchone()
        assert row is not None
        return row[0]


def test_a_query_outside_every_context_is_not_sent(probes):
    with pytest.raises(NoOrganization):
        one(WHOSE)


def test_each_context_sees_its_own_table(probes, org_a, org_b):
    for context, letter in ((org_a, "a"), (org_b, "b"), (org_a, "a")):
        with organization(context):
            assert one(WHOSE) == letter
            assert one("SELECT current_user::text") == context.role_name


def test_settings_and_query_are_one_message(probes, org_a, tmp_path):
    with organization(org_a):
        one("SELECT 1")
        trace = tmp_path / "protocol"
        with trace.open("w") as file:
            connection.connection.pgconn.trace(file.fileno())
            assert one(WHOSE) == "a"
            connection.connection.pgconn.untrace()
    sent = [line for line in trace.read_text().splitlines() if "\tF\t" in line]
    assert len(sent) == 1
    assert "SET LOCAL ROLE" in sent[0]
    assert "FROM probe" in sent[0]
    # The path follows the role by itself.
    assert "search_path" not in sent[0]


def test_settings_end_with_the_statement(probes, org_a):
    with organization(org_a):
        assert one(WHOSE) == "a"
    with psycopg.ClientCursor(connection.connection) as bare:
        bare.execute("SELECT current_user::text, current_setting('search_path')")
        login = org_a.role_name if environment.ISOLATION == "login" else "ks_app"
        assert bare.fetchone() == (login, ROLES_OWN_PATH)


def test_a_login_outside_every_context_finds_nothing_by_name(probes):
    with psycopg.connect(probes.app_url) as bare, pytest.raises(psycopg.errors.UndefinedTable):
        bare.execute(WHOSE)


@pytest.mark.parametrize("stale", ["ks_o_test_b, pg_temp", "public", "''", "pg_temp"])
def test_a_path_that_something_else_left_on_the_session_is_noticed(probes, org_a, stale):
    with organization(org_a):
        assert one(WHOSE) == "a"
        with psycopg.ClientCursor(connection.connection) as bare:
            bare.execute(f"SET search_path TO {stale}")
        assert one(WHOSE) == "a"
        with transaction.atomic():
            assert one(WHOSE) == "a"
        with psycopg.ClientCursor(connection.connection) as bare:
            bare.execute("RESET search_path")
        assert one(WHOSE) == "a"


def test_a_path_that_a_statement_sets_ends_with_its_transaction_or_is_noticed(probes, org_a, org_b):
    with organization(org_a):
        with transaction.atomic():
            one("SELECT set_config('search_path', 'public', true)")
            with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
                one(WHOSE)
        assert one(WHOSE) == "a"
        one("SELECT set_config('search_path', 'public', false)")
        assert one(WHOSE) == "a"
    with organization(org_b):
        assert one(WHOSE) == "b"


def test_a_path_of_before_a_savepoint_is_not_taken_for_the_roles_own(probes, org_a):
    with organization(org_a), transaction.atomic():
        one("SELECT set_config('search_path', 'ks_o_test_b', true)")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            one("SELECT set_config('search_path', '\"$user\", pg_temp', true)")
            raise ZeroDivisionError
        # The rollback brought the other path back, and the settings are sent again.
        assert one(WHOSE) == "a"


def test_planted_a_wall_that_does_not_read_the_servers_report_meets_the_role(probes, org_a, monkeypatch):
    monkeypatch.setattr(Scope, "settings", property(lambda scope: scope.settings_on_own_path))
    with organization(org_a):
        assert one(WHOSE) == "a"
        for stale in ("ks_o_test_b", "public"):
            with psycopg.ClientCursor(connection.connection) as bare:
                bare.execute(f"SET search_path TO {stale}")
            with pytest.raises(ProgrammingError, match=r"does not exist|permission denied"):
                one(WHOSE)


def test_behind_a_pooler_role_and_path_travel(probes, org_a, monkeypatch):
    """A pooler answers with another process than the one that it greeted with, and reports of another session."""
    connection.close()
    monkeypatch.setattr("engine.tenancy.wall._speaks_with_its_server", lambda pgconn: False)
    with organization(org_a):
        assert one(WHOSE) == "a"
        wall = connection.wall
        assert wall.settings_for(wall.scope(), connection.connection.pgconn) == current_scope().settings
    connection.close()


@pytest.mark.parametrize("path", [ROLES_OWN_PATH, "''"])
def test_a_callers_results_are_not_taken_for_the_settings(probes, org_a, path):
    with organization(org_a):
        one("SELECT 1")
        with psycopg.ClientCursor(connection.connection) as bare:
            bare.execute(f"SET search_path TO {path}")
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1; SELECT 2")
            assert cursor.fetchone() == (1,)
            assert cursor.cursor.nextset()
            assert cursor.fetchone() == (2,)
            assert not cursor.cursor.nextset()
            cursor.execute("INSERT INTO probe (whose) VALUES ('a'), ('a')")
            assert cursor.rowcount == 2
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany("INSERT INTO probe (whose) VALUES (%s)", [["a"], ["a"]])
            assert cursor.rowcount == 2
        with transaction.atomic(), connection.cursor() as cursor, cursor.copy("COPY probe (whose) TO STDOUT") as copy:
            assert list(copy.rows()) == [("a",)] * 5


def test_an_organization_whose_schema_has_another_name_is_found(probes, org_a):
    with psycopg.connect(probes.owner_url, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA o_older")
        owner.execute("CREATE TABLE o_older.probe AS SELECT 'older' AS whose")
        owner.execute(f"GRANT USAGE ON SCHEMA o_older TO {org_a.role_name}")
        owner.execute(f"GRANT SELECT ON o_older.probe TO {org_a.role_name}")
    for context, whose in ((replace(org_a, schema_name="o_older"), "older"), (org_a, "a")) * 2:
        with organization(context), transaction.atomic():
            assert one(WHOSE) == whose


def test_a_lost_connection_is_an_error_and_then_a_new_one(probes, org_a):
    with organization(org_a):
        pid = one("SELECT pg_backend_pid()")
        with psycopg.connect(os.environ["KEYSTEAD_TEST_POSTGRES_URL"], autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        with pytest.raises(OperationalError):
            one(WHOSE)
        connection.close_if_unusable_or_obsolete()
        assert one(WHOSE) == "a"
        connection.connection.close()
        with pytest.raises((OperationalError, InterfaceError)):
            one(WHOSE)
        connection.close_if_unusable_or_obsolete()
        assert one(WHOSE) == "a"


def test_no_schema_is_called_like_a_login(probes):
    with psycopg.connect(probes.owner_url) as owner:
        for name in ("ks_app", "ks_owner", "ks_platform"):
            with pytest.raises(ValueError, match=name):
                roles.create_organization_schema(owner, schema=name, role="ks_o_test_a")


def test_a_transaction_sends_its_settings_once(probes, org_a):
    with organization(org_a), transaction.atomic():
        assert one(WHOSE) == "a"
        wall = connection.wall
        assert wall.settings_for(wall.scope(), connection.connection.pgconn) is None
        assert one(WHOSE) == "a"


def test_another_context_inside_a_transaction_is_refused(probes, org_a, org_b):
    with organization(org_a), transaction.atomic():
        assert one(WHOSE) == "a"
        for other in (lambda: organization(org_b), public_schema, routing_schema):
            with pytest.raises(ContextSwitchError), other():
                pytest.fail("entered")
        assert one(WHOSE) == "a"


def test_another_context_smuggled_into_a_transaction_is_refused_at_the_query(probes, org_a, org_b):
    with organization(org_a), transaction.atomic():
        assert one(WHOSE) == "a"
        wall = connection.wall
        wall.scope = lambda: Scope(org_b.role_name, (org_b.schema_name,))
        with pytest.raises(ContextSwitchError):
            one(WHOSE)
        wall.scope = current_scope


def test_rollback_to_savepoint_sends_the_settings_again(probes, org_a):
    with organization(org_a), transaction.atomic():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            # The first statement of the transaction runs behind the savepoint, so the
            # rollback takes the settings away with it.
            assert one(WHOSE) == "a"
            raise ZeroDivisionError
        assert one(WHOSE) == "a"


def test_planted_a_wall_that_does_not_forget_at_a_savepoint_loses_its_role(probes, org_a, monkeypatch):
    monkeypatch.setattr(Wall, "forget", lambda self: None)
    # A login of its own has no other role, and its path follows it: there the settings are not missed.
    missed = pytest.raises(ProgrammingError) if environment.ISOLATION == "role" else nullcontext()
    with organization(org_a), missed, transaction.atomic():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            assert one(WHOSE) == "a"
            raise ZeroDivisionError
        assert one(WHOSE) == "a"


def test_an_earlier_statements_settings_do_not_count_for_a_later_transaction(probes, org_a, org_b):
    with organization(org_b):
        assert one(WHOSE) == "b"
    with organization(org_a), connection.cursor() as cursor:
        cursor.execute("BEGIN")
        assert one(WHOSE) == "a"
        cursor.execute("COMMIT")
        assert one(WHOSE) == "a"
        with pytest.raises(WallError):
            connection.connection.transaction()
        with pytest.raises(WallError):
            connection.connection.pipeline()


def test_a_raw_rollback_to_savepoint_is_noticed_too(probes, org_a):
    with organization(org_a), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SAVEPOINT s")
        assert one(WHOSE) == "a"
        cursor.execute("ROLLBACK TO SAVEPOINT s")
        assert one(WHOSE) == "a"


def test_a_failed_statement_leaves_nothing_behind(probes, org_a, org_b):
    with organization(org_a):
        with pytest.raises(ProgrammingError):
            one("SELECT no_such_column FROM probe")
        assert one(WHOSE) == "a"
    with organization(org_b):
        assert one(WHOSE) == "b"


def test_statement_cancels_never_show_another_organization(probes, org_a, org_b):
    """Cancels hit at random moments; each reply is the right one or an error."""
    stop = threading.Event()
    wrong: list[str] = []
    answered = 0

    def cancel(pid: int) -> None:
        with psycopg.connect(os.environ["KEYSTEAD_TEST_POSTGRES_URL"], autocommit=True) as other:
            while not stop.is_set():
                other.execute("SELECT pg_cancel_backend(%s)", [pid])

    with organization(org_a):
        pid = one("SELECT pg_backend_pid()")
    thread = threading.Thread(target=cancel, args=[pid])
    thread.start()
    try:
        for _ in range(300):
            for context, letter in ((org_a, "a"), (org_b, "b")):
                with organization(context):
                    try:
                        whose = one(WHOSE)
                    except OperationalError:
                        connection.close_if_unusable_or_obsolete()
                        continue
                answered += 1
                if whose != letter:
                    wrong.append(whose)
    finally:
        stop.set()
        thread.join()
    assert wrong == []
    assert answered > 0


def test_a_missing_table_is_not_looked_for_in_public(probes, org_a):
    with organization(org_a), pytest.raises(ProgrammingError, match="does not exist"):
        one("SELECT whose FROM only_b")


def test_no_temporary_table_can_catch_another_organizations_insert(probes, org_a):
    with organization(org_a), pytest.raises(ProgrammingError, match="permission denied"):
        one("CREATE TEMP TABLE probe (whose text)")


def test_executemany_and_copy_need_a_transaction(probes, org_a):
    with organization(org_a), connection.cursor() as cursor:
        with pytest.raises(WallError):
            cursor.executemany("INSERT INTO probe (whose) VALUES (%s)", [["x"]])
        with pytest.raises(WallError), cursor.copy("COPY probe (whose) FROM STDIN"):
            pytest.fail("sent")


def test_executemany_and_copy_go_to_the_organization(probes, org_a, org_b):
    with organization(org_a), transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany("INSERT INTO probe (whose) VALUES (%s)", [["a"], ["a"]])
        with cursor.copy("COPY probe (whose) FROM STDIN") as copy:
            copy.write_row(["a"])
    with organization(org_a):
        assert one("SELECT count(*) FROM probe") == 4
    with organization(org_b):
        assert one("SELECT count(*) FROM probe") == 1


def test_copy_as_the_first_statement_of_a_transaction(probes, org_b):
    with organization(org_b), transaction.atomic(), connection.cursor() as cursor:
        with cursor.copy("COPY probe (whose) TO STDOUT") as copy:
            assert list(copy.rows()) == [("b",)]


def test_server_side_cursors_and_streams_are_refused(probes, org_a):
    with organization(org_a):
        with pytest.raises(WallError):
            connection.chunked_cursor()
        with connection.cursor() as cursor, pytest.raises(WallError):
            cursor.stream("SELECT 1")


def test_a_connection_without_a_wall_sends_nothing(probes):
    with psycopg.connect(probes.app_url, cursor_factory=Cursor) as bare, pytest.raises(WallError):
        bare.execute("SELECT 1")


def test_threads_keep_their_contexts_apart(probes, org_a, org_b):
    def ask(turn: int) -> bool:
        context, letter = ((org_a, "a"), (org_b, "b"))[turn % 2]
        try:
            with organization(context):
                return one(WHOSE) == letter
        finally:
            if turn % 10 == 0:
                connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(400)))
        list(threads.map(lambda _: connections.close_all(), range(16)))
    assert all(answers)


@pytest.mark.parametrize("name", ['a"; DROP ROLE x; --', "pg_catalog", "", "Acme", "a b", "x" * 64])
def test_only_identifiers_that_keystead_makes_become_settings(name):
    with pytest.raises(WallError):
        settings_sql(Scope(name or None, (name,)))


def test_the_role_alone_is_set_only_where_it_names_the_schema():
    assert Scope("ks_o_1", ("ks_o_1",)).settings_on_own_path == b'SET LOCAL ROLE "ks_o_1";'
    for scope in (
        Scope("ks_o_1", ("ks_o_2",)),
        Scope("ks_o_1", ("ks_o_1", "ext")),
        Scope(None, ("ks_o_1",)),
        Scope(None, ()),
    ):
        assert scope.settings_on_own_path == scope.settings
        assert scope.settings.count(b";") == 2


def test_recycling_after_many_organizations(probes, org_a, org_b, settings):
    if environment.ISOLATION == "login":
        # A login's connection serves one organization, so it has nothing to be recycled for.
        for context in (org_a, org_b, org_a):
            with organization(context):
                one("SELECT 1")
                assert connection.wall.scopes_seen == {current_scope()}
        return
    settings.DATABASE_ORGANIZATIONS_PER_CONNECTION = 2  # the router, and one
    with organization(org_a):
        first = one("SELECT pg_backend_pid()")
    connection.close_if_unusable_or_obsolete()
    with organization(org_a):
        assert one("SELECT pg_backend_pid()") == first
    with organization(org_b):
        assert one("SELECT pg_backend_pid()") == first
    connection.close_if_unusable_or_obsolete()
    with organization(org_b):
        assert one("SELECT pg_backend_pid()") != first
