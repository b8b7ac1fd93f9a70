"""One matcher and one database for all of these modules: each test works with a model, hence a gallery, of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.live import LiveDatabase, live_database
from tests.matcher.world import World, world


@pytest.fixture(scope="package")
def matcher_database(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[LiveDatabase]:
    with django_db_blocker.unblock(), live_database() as database:
        yield database


@pytest.fixture(scope="package")
def w(matcher_database: LiveDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(matcher_database, tmp_path_factory.mktemp("matcher") / "log") as made:
        yield made
