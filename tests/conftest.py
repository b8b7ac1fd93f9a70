"""Fixtures that every suite shares.

`db` gives one transaction per test in a copy of the template database; `live_db` a database of
the test's own, for threads and processes. `org_a` and `org_b` are contexts to enter.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import nullcontext
from ipaddress import IPv4Address
from typing import Any

import hypothesis
import pytest
from django.db import connection, transaction
from psycopg import ClientCursor
from pytest_django import DjangoDbBlocker
from rest_framework.test import APIClient

from engine.tenancy import directory
from engine.tenancy.context import OrganizationContext, organization
from engine.tenancy.postgres.base import DatabaseWrapper
from tests.harness import databases, environment
from tests.harness.live import LiveDatabase, live_database

_unguarded = DatabaseWrapper._cursor


def _guarded(self: DatabaseWrapper, name: str | None = None) -> Any:
    # What keeps tests without a database from using one stands there, and an open connection does not pass it.
    self.ensure_connection()
    return _unguarded(self, name)


DatabaseWrapper._cursor = _guarded  # type: ignore[method-assign]

# A busy machine makes no example wrong: no test asserts a time.
hypothesis.settings.register_profile("keystead", deadline=None)
hypothesis.settings.load_profile("keystead")


_organizations: dict[str, OrganizationContext] = {}


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    databases.copy_of_template(environment.DATABASE)
    yield
    with django_db_blocker.unblock():
        connection.close()
    databases.drop(environment.DATABASE)


@pytest.fixture
def db(request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """One transaction that is rolled back; it may change context, as nothing else may.

    In login mode each context has a connection of its own, and so each test a database of its own
    unless it commits nothing.
    """
    if environment.ISOLATION == "login":
        own = not request.node.get_closest_marker("commits_nothing")
        with django_db_blocker.unblock(), live_database() if own else nullcontext():
            yield
        return
    with django_db_blocker.unblock():
        directory.forget()
        # Found before the transaction, which would otherwise go on with the path of the public schema.
        _organizations.update({letter: _organization(letter) for letter in "ab"})
        with transaction.atomic():
            connection.test_atomic_blocks = 1
            try:
                yield
                if not connection.needs_rollback:
                    with ClientCursor(connection.connection) as cursor:
                        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            finally:
                connection.test_atomic_blocks = 0
                transaction.set_rollback(True)


@pytest.fixture
def live_db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[LiveDatabase]:
    """A database of the test's own, in which commits are real."""
    with django_db_blocker.unblock(), live_database() as database:
        yield database


def _organization(letter: str) -> OrganizationContext:
    found = directory.by_host(f"org-{letter}.{environment.BASE_DOMAIN}")
    assert found is not None
    return found


@pytest.fixture
def org_a(request: pytest.FixtureRequest) -> OrganizationContext:
    return _in_database_of(request, "a")


@pytest.fixture
def org_b(request: pytest.FixtureRequest) -> OrganizationContext:
    return _in_database_of(request, "b")


@pytest.fixture
def in_org_a(org_a: OrganizationContext) -> Iterator[OrganizationContext]:
    """The test runs inside organization a."""
    with organization(org_a):
        yield org_a


@pytest.fixture
def http_a(org_a: OrganizationContext) -> APIClient:
    """An anonymous client of organization a's host."""
    return client_of(org_a)


@pytest.fixture
def http_b(org_b: OrganizationContext) -> APIClient:
    return client_of(org_b)


def visitor_of(context: OrganizationContext) -> APIClient:
    """A client at an address that no other test comes from: what is counted by address begins anew."""
    client = client_of(context)
    client.defaults["REMOTE_ADDR"] = str(IPv4Address(0x0A000000 + secrets.randbelow(1 << 24)))
    return client


def client_of(context: OrganizationContext) -> APIClient:
    return APIClient(HTTP_HOST=context.issuer.removeprefix("http://"), raise_request_exception=False)


def _in_database_of(request: pytest.FixtureRequest, letter: str) -> OrganizationContext:
    """The organizations live in whichever database the test asked for; `db` unless it said."""
    if "live_db" in request.fixturenames:
        request.getfixturevalue("live_db")
        return _organization(letter)
    request.getfixturevalue("db")
    return _organization(letter) if environment.ISOLATION == "login" else _organizations[letter]
