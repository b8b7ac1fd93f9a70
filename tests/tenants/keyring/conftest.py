"""The keyring with a real matcher, over a database in which commits are real."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings

from engine.tenancy.context import OrganizationContext, organization
from tests.harness.live import LiveDatabase, live_database
from tests.harness.matcher import RunningMatcher, running_matcher


@pytest.fixture(scope="module")
def keyring_database(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[LiveDatabase]:
    with django_db_blocker.unblock(), live_database() as database:
        yield database


@pytest.fixture(scope="module")
def matcher(keyring_database: LiveDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMatcher]:
    """A matcher that the services of this process call."""
    log = tmp_path_factory.mktemp("matcher") / "log"
    with running_matcher(database_url=keyring_database.app_url, log=log) as running, override_settings(MATCHER_URL=running.url):
        yield running


@pytest.fixture
def fresh(matcher: RunningMatcher, keyring_database: LiveDatabase) -> Iterator[OrganizationContext]:
    """Inside organization a, without any keys."""
    with keyring_database.emptied_keyring() as context, organization(context):
        yield context
