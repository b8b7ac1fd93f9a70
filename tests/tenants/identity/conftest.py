"""A database and a matcher for the module; a gallery of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test.utils import override_settings
from rest_framework.test import APIClient

from engine.ids import uuid7
from engine.tenancy.context import OrganizationContext
from tests.factories.access import member_token, signed_in
from tests.factories.identity import Register
from tests.harness.live import LiveDatabase, live_database
from tests.harness.matcher import running_matcher


@pytest.fixture(scope="module")
def live_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[LiveDatabase]:
    with django_db_blocker.unblock(), live_database() as database:
        yield database


@pytest.fixture(scope="module")
def matcher(live_db: LiveDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    log = tmp_path_factory.mktemp("matcher") / "log"
    with (
        running_matcher(database_url=live_db.app_url, log=log) as running,
        override_settings(MATCHER_URL=running.url),
    ):
        yield


@pytest.fixture
def blobs(tmp_path: Path) -> Iterator[Path]:
    """A blob store of the test's own."""
    folder = tmp_path / "blobs"
    folder.mkdir()
    with override_settings(BLOB_URL=f"file://{folder}"):
        yield folder


@pytest.fixture
def register(live_db: LiveDatabase, matcher: None, org_a: OrganizationContext, http_a: APIClient) -> Register:
    """Organization a's owner, with a model that nobody else was enrolled with."""
    return Register(signed_in(http_a, member_token(org_a)), f"model-{uuid7().hex[-12:]}")
