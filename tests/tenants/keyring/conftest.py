"""The keyring with a real matcher, over a database in which commits are real; both serve a module."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from django.test import override_settings
from psycopg import sql

from engine.tenancy.context import OrganizationContext, organization
from tenants.keyring import services
from tests.harness.live import LiveDatabase, live_database
from tests.matcher.world import World, world


@pytest.fixture(scope="module")
def serving(
    django_db_setup: None, django_db_blocker: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with (
        django_db_blocker.unblock(),
        live_database() as database,
        world(database, tmp_path_factory.mktemp("matcher") / "log") as made,
    ):
        yield made


@pytest.fixture
def w(serving: World) -> Iterator[World]:
    """A matcher that the services of this process call; a and b have new keys, of version 1."""
    with override_settings(MATCHER_URL=serving.matcher.url):
        for context in (serving.a, serving.b):
            forget_keys(serving.database, context)
            with organization(context):
                services.provision_keys()
        yield serving


@pytest.fixture
def in_a(w: World) -> Iterator[OrganizationContext]:
    """The test runs inside organization a."""
    with organization(w.a):
        yield w.a


def forget_keys(database: LiveDatabase, context: OrganizationContext, *purposes: str) -> None:
    """Take keys away, all without `purposes`, as only the owner of the schema can."""
    condition = sql.SQL("WHERE purpose = ANY(%s)") if purposes else sql.SQL("")
    with psycopg.connect(database.owner_url) as connection:
        for table in ("keyring_personkey", "keyring_organizationkey"):
            name = sql.Identifier(context.schema_name, table)
            connection.execute(
                sql.SQL("DELETE FROM {} {}").format(name, condition), [list(purposes)] if purposes else None
            )
