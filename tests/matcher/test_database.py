"""A database that goes away, and one that comes back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psycopg
import pytest
from prometheus_client import REGISTRY

from engine.keys.kms import open_kms
from engine.keys.tree import OrganizationKeys
from engine.tenancy import roles
from engine.tenancy.wall import WallError
from matcher.connections import LoginConnections, SwitchedConnections
from matcher.database import Database, feed_position, gallery, gallery_extent, snapshot
from matcher.library import Library
from tests.harness import environment
from tests.harness.live import LiveDatabase
from tests.matcher.test_walls import mint, post, search_body
from tests.matcher.world import World, claims, new_model, vector, world

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("matcher")]


def test_lost_connections_are_replaced_without_a_failed_call(w: World) -> None:
    model = new_model()
    person = w.enroll(w.a, model, vector(1))
    for _ in range(3):
        assert w.found(w.a, model, vector(1)) == [person.person_id]
        with psycopg.connect(os.environ["KEYSTEAD_TEST_POSTGRES_URL"], autocommit=True) as admin:
            ended = admin.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'keystead-matcher' AND datname = %s",
                [w.database.name],
            ).fetchone()
        assert ended
        assert ended[0] >= 1
    assert w.found(w.a, model, vector(1)) == [person.person_id]


def test_without_a_database_it_starts_and_says_what_is_missing(matcher_database: LiveDatabase, tmp_path: Path) -> None:
    nowhere = "postgresql://ks_app:x@127.0.0.1:9/none"
    with world(matcher_database, tmp_path / "log", database_url=nowhere) as lonely:
        with pytest.raises(HTTPError) as not_ready:
            urlopen(f"{lonely.matcher.url}/readyz", timeout=10)
        assert json.load(not_ready.value)["database"] == "unreachable"
        status, problem = post(lonely, "identify", search_body(), token=mint(claims(lonely.a)))
        assert (status, problem["code"]) == (503, "database_unreachable")


def test_the_matchers_login_can_do_nothing_by_itself(matcher_database: LiveDatabase) -> None:
    with (
        psycopg.connect(matcher_database.app_url) as login,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        login.execute("SELECT * FROM ks_o_test_a.identity_template")


def database_of(w: World, isolation: str) -> Database:
    url = w.database.app_url
    if isolation == "role":
        return Database(SwitchedConnections(url, connections=1))
    secrets = (environment.LOGIN_SECRET,)
    return Database(LoginConnections(url, connections=1, secrets=secrets, idle_seconds=60))


@pytest.mark.parametrize("isolation", ["role", "login"])
def test_a_load_that_fails_midway_leaves_a_connection_that_works(w: World, isolation: str) -> None:
    model = new_model()
    for seed in range(3):
        w.enroll(w.a, model, vector(seed), announce=False)
    with closing(database_of(w, isolation)) as database:
        database.open()
        with database.of(claims(w.a)) as connection:
            with (
                pytest.raises(ZeroDivisionError),
                snapshot(connection),
                closing(gallery(connection, claims(w.a), modality="face", model=model)) as references,
            ):
                assert next(references).dimensions == 128
                raise ZeroDivisionError
            assert feed_position(connection) >= 0
        with database.of(claims(w.b)) as connection:
            assert gallery_extent(connection, modality="face", model=model) == (0, 0)


@pytest.mark.parametrize("isolation", ["role", "login"])
def test_a_connection_outside_every_organization_sends_nothing(w: World, isolation: str) -> None:
    with closing(database_of(w, isolation)) as database:
        database.open()
        with database.of(claims(w.a)) as connection:
            pass
        with pytest.raises(WallError):
            feed_position(connection)


@pytest.fixture
def lone_role(w: World) -> Iterator[str]:
    """A login that may read what organization a's may: roles are the server's, and other tests need a's own."""
    role = f"ks_o_lone_{w.database.name[-16:]}"
    with psycopg.connect(w.database.owner_url, autocommit=True) as owner:
        roles.create_bare_role(owner, role=role, login_secret=environment.LOGIN_SECRET)
        owner.execute(f"GRANT {w.a.role_name} TO {role} WITH INHERIT TRUE")
        yield role
        owner.execute(f"DROP ROLE IF EXISTS {role}")


def test_in_login_mode_nothing_is_kept_of_an_organization_whose_role_is_gone(w: World, lone_role: str) -> None:
    model, probe = new_model(), vector(1)
    person = w.enroll(w.a, model, probe)
    known = replace(claims(w.a), role_name=lone_role)
    secrets = (environment.LOGIN_SECRET,)
    connections = LoginConnections(w.database.app_url, connections=1, secrets=secrets, idle_seconds=60)
    library = Library(
        database=Database(connections),
        keys=OrganizationKeys(open_kms(environment.BIOMETRIC_KMS_URL), max_seconds=60),
        memory_bytes=1 << 24,
        feed_seconds=0,
    )
    with closing(connections), closing(library):
        found = library.identify(known, shape=("face", model), probe=probe, k=1)
        assert [each.person_id for each in found.candidates] == [person.person_id]
        library.tend()
        assert REGISTRY.get_sample_value("keystead_matcher_galleries") == 1
        with psycopg.connect(w.database.owner_url, autocommit=True) as owner:
            owner.execute(f"ALTER ROLE {lone_role} NOLOGIN")
        # What was logged in before goes on, until it is closed.
        library.tend()
        assert REGISTRY.get_sample_value("keystead_matcher_galleries") == 1
        connections.close()
        library.tend()
        assert REGISTRY.get_sample_value("keystead_matcher_galleries") == 0


def test_in_login_mode_each_organization_is_logged_in_as_itself(w: World) -> None:
    with closing(database_of(w, "login")) as database:
        for organization in (w.a, w.b):
            with database.of(claims(organization)) as connection:
                row = connection.execute("SELECT session_user::text").fetchone()
                assert row == (organization.role_name,)
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(f"SET ROLE {(w.b if organization is w.a else w.a).role_name}")
