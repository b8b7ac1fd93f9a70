"""Login mode: who is logged in on which connection, rotation, and the bounds of the pools."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import ProgrammingError, close_old_connections, connection, transaction

from engine.tenancy import logins, roles
from engine.tenancy.context import organization, public_schema
from engine.tenancy.pools import PoolExhausted, Pools
from engine.tenancy.postgres_logins import base
from engine.tenancy.wall import WallError
from tests.harness import environment
from tests.harness.live import LiveDatabase
from tests.harness.login_mode import login_mode

WHOSE = "SELECT whose FROM probe"
FORMER_SECRET = "the one before, of enough characters"


@pytest.fixture
def logged_in(probes: LiveDatabase) -> Iterator[LiveDatabase]:
    with login_mode():
        yield probes


def one(statement: str):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
        assert row is not None
        return row[0]


def login_of(login: str) -> int:
    """How many idle connections this process keeps of a login."""
    return sum(count for key, count in base.pools().sizes().items() if key[-1] == login)


def test_each_context_is_logged_in_as_its_own_role(logged_in, org_a, org_b):
    for context in (org_a, org_b, org_a):
        with organization(context):
            assert one("SELECT session_user::text") == context.role_name
            assert one("SELECT current_user::text") == context.role_name
            assert one(WHOSE) == context.slug[-1]
    with public_schema():
        assert one("SELECT session_user::text") == "ks_platform"


def test_no_role_that_serves_an_organization_can_become_another(logged_in):
    with psycopg.connect(logged_in.owner_url) as owner:
        escapes = owner.execute(
            "SELECT member::regrole, roleid::regrole FROM pg_auth_members"
            " WHERE set_option AND member::regrole::text NOT IN ('ks_app', 'ks_owner')"
            " AND member::regrole::text LIKE 'ks\\_%'"
        ).fetchall()
    assert escapes == []


def test_planted_a_connection_of_another_login_is_refused_by_the_settings_themselves(
    logged_in, org_a, org_b, monkeypatch
):
    with organization(org_a):
        assert one(WHOSE) == "a"
    monkeypatch.setattr(type(connection._connections["default"]), "_exchange", lambda *_: None)
    with organization(org_b), pytest.raises(ProgrammingError, match="permission denied to set role"):
        one(WHOSE)


def test_a_block_that_begins_outside_every_context_goes_to_the_first_one_inside(logged_in, org_a, org_b):
    with organization(org_b):
        one("SELECT 1")
    with transaction.atomic(), organization(org_a):
        assert one(WHOSE) == "a"
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO probe (whose) VALUES ('a')")
    with organization(org_a):
        assert one("SELECT count(*) FROM probe") == 2


def test_a_connection_goes_back_at_the_end_of_a_request(logged_in, org_a):
    with organization(org_a):
        pid = one("SELECT pg_backend_pid()")
        close_old_connections()
        assert login_of(org_a.role_name) == 1
        assert one("SELECT pg_backend_pid()") == pid
        assert login_of(org_a.role_name) == 0


def test_a_cursor_of_before_an_exchange_sends_nothing(logged_in, org_a, org_b):
    with organization(org_a):
        cursor = connection.cursor()
        cursor.execute(WHOSE)
    with organization(org_b):
        assert one(WHOSE) == "b"
        with pytest.raises(WallError):
            cursor.execute(WHOSE)


def test_a_cursor_does_not_follow_its_connection_into_another_thread(logged_in, org_a, org_b):
    """Organization a's cursor of this thread must not write into a transaction of that thread."""
    outcomes: list[object] = []
    with organization(org_a):
        cursor = connection.cursor()
        pid = one("SELECT pg_backend_pid()")
    with organization(org_b):
        one("SELECT 1")
    held, done = threading.Event(), threading.Event()

    def other() -> None:
        with organization(org_a), transaction.atomic():
            outcomes.append(one("SELECT pg_backend_pid()"))
            held.set()
            done.wait(10)
        connection.close()

    thread = threading.Thread(target=other)
    thread.start()
    held.wait(10)
    try:
        with organization(org_a), pytest.raises(Exception, match="can only be used in that same thread"):
            cursor.execute("INSERT INTO probe (whose) VALUES ('smuggled')")
    finally:
        done.set()
        thread.join()
    assert outcomes == [pid]


def test_a_connection_that_the_server_has_closed_is_not_handed_out(logged_in, org_a):
    with organization(org_a):
        pid = one("SELECT pg_backend_pid()")
        close_old_connections()
        with psycopg.connect(os.environ["KEYSTEAD_TEST_POSTGRES_URL"], autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert one(WHOSE) == "a"


# It rotates every login of the server, also those of other tests' organizations.
@pytest.mark.xdist_group("logins")
def test_rotation_stops_nobody_and_ends_the_old_passwords(logged_in, org_a):
    role = org_a.role_name
    with psycopg.connect(logged_in.owner_url, autocommit=True) as owner:
        with organization(org_a):
            before = one("SELECT pg_backend_pid()")
            version = logins.versions(owner, role=role)[role]
            roles.give_logins(owner, secret=environment.LOGIN_SECRET, anew=True)
            assert one("SELECT pg_backend_pid()") == before
            connection.close()
            assert one(WHOSE) == "a"
        assert logins.versions(owner, role=role) == {role: version + 1}
        old = logins.password(environment.LOGIN_SECRET, role=role, version=version)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(logged_in.app_url, user=role, password=old)


@pytest.fixture
def lone_role(logged_in: LiveDatabase) -> Iterator[str]:
    """A role that no other test logs in as: roles belong to the server, which tests share."""
    role = f"ks_o_lone_{logged_in.name[-16:]}"
    with psycopg.connect(logged_in.owner_url, autocommit=True) as owner:
        roles.create_organization_role(owner, role=role)
    yield role
    with psycopg.connect(logged_in.owner_url, autocommit=True) as owner:
        owner.execute(f"DROP ROLE IF EXISTS {role}")


def test_the_login_secret_itself_is_replaced_while_both_are_known(logged_in, lone_role):
    def log_in(*secrets: str) -> None:
        with psycopg.connect(logged_in.app_url, autocommit=True) as asking:
            asked = logins.Logins(secrets, ask=lambda role: logins.versions(asking, role=role))
            asked.open(
                lone_role, lambda word: psycopg.connect(logged_in.app_url, user=lone_role, password=word)
            ).close()

    with psycopg.connect(logged_in.owner_url, autocommit=True) as owner:
        logins.give(owner, role=lone_role, secret=FORMER_SECRET, version=7)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            log_in(environment.LOGIN_SECRET)
        log_in(environment.LOGIN_SECRET, FORMER_SECRET)
        logins.give(owner, role=lone_role, secret=environment.LOGIN_SECRET, version=8)
        log_in(environment.LOGIN_SECRET, FORMER_SECRET)


def test_a_role_that_may_log_in_no_longer_is_missed_by_who_knew_it(logged_in, lone_role):
    def connect(word: str) -> psycopg.Connection[Any]:
        return psycopg.connect(logged_in.app_url, user=lone_role, password=word)

    with psycopg.connect(logged_in.owner_url, autocommit=True) as owner:
        knowing = logins.Logins((environment.LOGIN_SECRET,), ask=lambda role: logins.versions(owner, role=role))
        for gone in ("ALTER ROLE {} NOLOGIN", "DROP ROLE {}"):
            logins.give(owner, role=lone_role, secret=environment.LOGIN_SECRET, version=1)
            knowing.open(lone_role, connect).close()
            owner.execute(gone.format(lone_role))
            for _ in range(2):
                with pytest.raises(logins.LoginMissing):
                    knowing.open(lone_role, connect)


def test_the_secret_that_fitted_is_tried_first():
    attempts: list[str] = []
    fitting = logins.password(FORMER_SECRET, role="x", version=1)
    server = psycopg.errors.FinishedPGconn(used_password=True)

    def connect(word: str) -> Any:
        attempts.append(word)
        if word != fitting:
            raise psycopg.OperationalError("no", pgconn=server)
        return word

    knowing = logins.Logins((environment.LOGIN_SECRET, FORMER_SECRET), ask=lambda _: {"x": 1})
    for _ in range(3):
        assert knowing.open("x", connect) == fitting
    assert attempts[1:] == [fitting] * 3


def test_a_server_that_is_full_or_away_gets_one_attempt():
    attempts: list[str] = []
    knowing = logins.Logins((environment.LOGIN_SECRET, FORMER_SECRET), ask=lambda _: {"x": 1})

    def connect(word: str):
        attempts.append(word)
        return psycopg.connect("postgresql://127.0.0.1:9/none", user="x", password=word)

    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            knowing.open("x", connect)
    assert len(attempts) == 2


def test_who_asks_for_one_role_keeps_no_other_waiting():
    asking, answered = threading.Event(), threading.Event()

    def ask(role: str | None):
        if role == "slow":
            asking.set()
            answered.wait(10)
        return {role or "first": 1}

    def connect(word: str) -> Any:
        return word

    shared = logins.Logins((environment.LOGIN_SECRET,), ask=ask)
    shared.open("first", connect)
    thread = threading.Thread(target=shared.open, args=["slow", connect])
    thread.start()
    assert asking.wait(10)
    opened = threading.Thread(target=shared.open, args=["other", connect])
    opened.start()
    opened.join(5)
    assert not opened.is_alive()
    answered.set()
    thread.join()


def test_what_a_role_set_for_itself_ends_with_its_next_password(logged_in, lone_role):
    with psycopg.connect(logged_in.owner_url, autocommit=True) as owner:
        logins.give(owner, role=lone_role, secret=environment.LOGIN_SECRET, version=1)
        before = owner.execute("SELECT rolconfig FROM pg_roles WHERE rolname = %s", [lone_role]).fetchone()
        word = logins.password(environment.LOGIN_SECRET, role=lone_role, version=1)
        with psycopg.connect(logged_in.app_url, user=lone_role, password=word, autocommit=True) as own:
            own.execute(f"ALTER ROLE {lone_role} SET statement_timeout = 1")
            own.execute(f"ALTER ROLE {lone_role} IN DATABASE {logged_in.name} SET default_transaction_read_only = on")
        logins.give(owner, role=lone_role, secret=environment.LOGIN_SECRET, version=2)
        kept = owner.execute(
            "SELECT setconfig FROM pg_db_role_setting JOIN pg_roles r ON r.oid = setrole WHERE rolname = %s",
            [lone_role],
        ).fetchall()
    assert kept == [before]


def test_the_server_keeps_verifiers_only(logged_in, org_a):
    with psycopg.connect(os.environ["KEYSTEAD_TEST_POSTGRES_URL"]) as admin:
        kept = admin.execute("SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'ks\\_%'").fetchall()
        row = admin.execute("SELECT rolconfig FROM pg_roles WHERE rolname = %s", [org_a.role_name]).fetchone()
    words = dict(kept)
    assert words[org_a.role_name].startswith("SCRAM-SHA-256$")
    assert row is not None
    assert "log_min_error_statement=panic" in row[0]


def test_a_role_without_a_login_is_told_apart(logged_in, lone_role):
    with psycopg.connect(logged_in.app_url, autocommit=True) as asking:
        asked = logins.Logins((environment.LOGIN_SECRET,), ask=lambda role: logins.versions(asking, role=role))
        with pytest.raises(logins.LoginMissing, match="keystead database logins"):
            asked.open(lone_role, lambda word: asking)


def test_a_thread_that_ends_without_closing_leaves_its_connection_to_others(probes, org_a, org_b):
    def end_without_closing() -> None:
        with organization(org_a):
            assert one(WHOSE) == "a"

    gc.disable()
    try:
        with login_mode(connections_max=1), organization(org_b):
            for _ in range(2):
                thread = threading.Thread(target=end_without_closing)
                thread.start()
                thread.join()
                assert one(WHOSE) == "b"
                close_old_connections()
    finally:
        gc.enable()


class TestPools:
    def connect(self):
        return psycopg.connect(os.environ["KEYSTEAD_TEST_POSTGRES_URL"], autocommit=True)

    def test_the_least_recently_used_login_makes_room(self):
        kept = Pools(connections_max=2, idle_seconds=60)
        first, second = (kept.take((name,), self.connect) for name in ("a", "b"))
        kept.give_back(("a",), first)
        kept.give_back(("b",), second)
        again = kept.take(("a",), self.connect)
        assert again is first
        kept.give_back(("a",), again)
        third = kept.take(("c",), self.connect)
        assert second.closed
        assert kept.sizes() == {("a",): 1}
        kept.give_back(("c",), third)
        kept.close()
        assert first.closed
        assert third.closed

    def test_more_than_the_bound_wait_and_are_told(self):
        kept = Pools(connections_max=1, idle_seconds=60, wait_seconds=0.05)
        held = kept.take(("a",), self.connect)
        with pytest.raises(PoolExhausted, match="KEYSTEAD_LOGIN_CONNECTIONS"):
            kept.take(("b",), self.connect)
        held.close()

    def test_who_waits_gets_what_is_given_back(self):
        kept = Pools(connections_max=1, idle_seconds=60)
        lent = kept.take(("a",), self.connect)
        threading.Timer(0.05, kept.give_back, [("a",), lent]).start()
        assert kept.take(("a",), self.connect) is lent
        lent.close()

    def test_a_connection_is_taken_from_a_thread_that_has_ended_but_from_no_other(self):
        kept = Pools(connections_max=1, idle_seconds=60, wait_seconds=0.05)
        taken: list[psycopg.Connection[Any]] = []
        done = threading.Event()

        def hold() -> None:
            taken.append(kept.take(("a",), self.connect))
            done.wait(10)

        thread = threading.Thread(target=hold)
        thread.start()
        while not taken:
            time.sleep(0.01)
        with pytest.raises(PoolExhausted):
            kept.take(("b",), self.connect)
        done.set()
        thread.join()
        kept.take(("b",), self.connect).close()
        assert taken[0].closed

    def test_a_failed_attempt_and_a_lost_connection_leave_their_place(self):
        kept = Pools(connections_max=1, idle_seconds=60, wait_seconds=0.05)

        def refuse():
            raise psycopg.OperationalError("no")

        with pytest.raises(psycopg.OperationalError, match="no"):
            kept.take(("a",), refuse)
        lost = kept.take(("a",), self.connect)
        lost.close()
        del lost
        found = kept.take(("a",), self.connect)
        found.execute("BEGIN")
        kept.give_back(("a",), found)
        assert found.closed
        kept.take(("a",), self.connect).close()

    def test_what_stays_idle_is_closed(self):
        kept = Pools(connections_max=4, idle_seconds=0.05)
        idle = kept.take(("a",), self.connect)
        kept.give_back(("a",), idle)
        reaper = kept._reaper
        assert reaper is not None
        reaper.join(10)
        assert idle.closed
        assert kept.sizes() == {}
