"""Login mode for a part of a test run that is in role mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections
from django.test.utils import override_settings

from engine.tenancy.postgres_logins import base
from tests.harness import environment

_ENGINE = "engine.tenancy.postgres_logins"


@contextmanager
def login_mode(*, connections_max: int = 24) -> Iterator[None]:
    """This process's connections log in as the role of their context meanwhile."""
    before = connections.settings["default"]["ENGINE"]
    with override_settings(
        DATABASE_LOGIN_SECRETS=(environment.LOGIN_SECRET,), DATABASE_LOGIN_CONNECTIONS=connections_max
    ):
        _use(_ENGINE)
        try:
            yield
        finally:
            _use(before)


def _use(engine: str) -> None:
    connections.close_all()
    base.pools().close()
    base.pools.cache_clear()
    base._logins.cache_clear()
    connections.settings["default"]["ENGINE"] = engine
    if hasattr(connections._connections, "default"):
        del connections["default"]
