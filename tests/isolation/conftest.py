"""Two worlds in one committed database, with a matcher and a provider of their own processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import override_settings

from engine.tenancy import directory
from tests.devkit.sandbox.server import SandboxProcess
from tests.harness import environment
from tests.harness.live import LiveDatabase, live_database
from tests.harness.matcher import running_matcher
from tests.isolation import world
from tests.isolation.world import World


@dataclass(frozen=True)
class Worlds:
    a: World
    b: World
    database: LiveDatabase


@pytest.fixture(scope="module")
def worlds(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: Any) -> Iterator[Worlds]:
    folder = tmp_path_factory.mktemp("worlds")
    sandbox = SandboxProcess(folder / "sandbox")
    sandbox.start()
    try:
        with (
            django_db_blocker.unblock(),
            live_database() as database,
            running_matcher(database_url=database.app_url, log=folder / "matcher.log") as matcher,
            override_settings(MATCHER_URL=matcher.url),
        ):
            made = []
            for letter in "ab":
                org = directory.by_host(f"org-{letter}.{environment.BASE_DOMAIN}")
                assert org is not None
                made.append(world.build(org, sandbox=sandbox))
            a, b = made
            yield Worlds(a, b, database)
    finally:
        sandbox.stop()
