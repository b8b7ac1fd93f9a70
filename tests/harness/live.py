"""A database of its own for tests that commit: threads, several processes, kill -9."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from django.conf import settings
from django.db import connections
from django.test.utils import override_settings

from engine.tenancy import directory, roles
from tests.harness import databases, environment


@dataclass(frozen=True, slots=True)
class LiveDatabase:
    """A committed copy of the template. Every connection of this process goes to it meanwhile."""

    name: str

    @property
    def app_url(self) -> str:
        return environment.app_url(self.name)

    @property
    def owner_url(self) -> str:
        return environment.owner_url(self.name)

    def environment(self, *, owner: bool = False) -> dict[str, str]:
        """The environment for a child process that works on this database."""
        child = {**os.environ, "KEYSTEAD_DATABASE_URL": self.app_url}
        if owner:
            child["KEYSTEAD_OWNER_DATABASE_URL"] = self.owner_url
        return child

    @contextmanager
    def as_owner(self) -> Iterator[None]:
        """Work with the owner's login in this process, as provisioning does."""
        with (
            _connected_as("ks_owner", environment.OWNER_PASSWORD),
            override_settings(HOLDS_OWNER_LOGIN=True),
        ):
            yield


@contextmanager
def live_database() -> Iterator[LiveDatabase]:
    name = f"ks_live_{uuid4().hex[:16]}"
    databases.copy_of_template(name)
    before = settings.DATABASES["default"]["NAME"]
    _point_at(name)
    try:
        yield LiveDatabase(name)
    finally:
        _point_at(before)
        databases.drop(name)


@contextmanager
def bare_database() -> Iterator[LiveDatabase]:
    """As `live_database`, with roles and nothing else: what `keystead database bootstrap` leaves."""
    name = f"ks_bare_{uuid4().hex[:16]}"
    roles.bootstrap(
        admin_url=os.environ["KEYSTEAD_TEST_POSTGRES_URL"],
        owner_url=environment.owner_url(name),
        app_url=environment.app_url(name),
    )
    before = settings.DATABASES["default"]["NAME"]
    _point_at(name)
    try:
        yield LiveDatabase(name)
    finally:
        _point_at(before)
        databases.drop(name)


def _point_at(database: str) -> None:
    connections.close_all()
    directory.forget()
    settings.DATABASES["default"]["NAME"] = database
    connections.settings["default"]["NAME"] = database
    connections["default"].settings_dict["NAME"] = database


@contextmanager
def _connected_as(user: str, password: str) -> Iterator[None]:
    connection = connections["default"]
    before = {key: connection.settings_dict[key] for key in ("USER", "PASSWORD")}
    connection.close()
    connection.settings_dict.update(USER=user, PASSWORD=password)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)
