"""Where the matcher's connections come from: one pool that switches roles, or logins of the roles' own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Protocol

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from engine.tenancy import logins
from engine.tenancy.pools import PoolExhausted, Pools
from engine.tenancy.wall import WalledCursor, nobody, raise_wall

Connection = psycopg.Connection[Any]

POOL_SECONDS: Final = 5.0
BUSY: Final = (PoolTimeout, PoolExhausted)
_OPTIONS: Final[dict[str, Any]] = {
    "autocommit": True,
    "cursor_factory": WalledCursor,
    "prepare_threshold": None,
    "connect_timeout": 5,
    "application_name": "keystead-matcher",
}


class Connections(Protocol):
    """A source of walled connections."""

    def open(self) -> None:
        """Start to connect in the background. A database that is down is waited for."""

    def close(self) -> None:
        """Close all connections."""

    def ready(self) -> bool:
        """Whether a connection answers now."""

    def of(self, role: str) -> AbstractContextManager[Connection]:
        """A connection on which statements may run as `role`."""


class SwitchedConnections:
    """Role mode: logged in as ks_app, and each message switches."""

    def __init__(self, url: str, *, connections: int) -> None:
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            kwargs=_OPTIONS,
            min_size=1,
            max_size=connections,
            timeout=POOL_SECONDS,
            max_lifetime=600,
            configure=_configure,
            check=_check,
            open=False,
        )

    def open(self) -> None:
        self._pool.open()

    def close(self) -> None:
        self._pool.close()

    def ready(self) -> bool:
        try:
            with self._pool.connection(timeout=2.0):
                return True
        except (psycopg.Error, PoolTimeout):
            return False

    def of(self, _role: str) -> AbstractContextManager[Connection]:
        return self._pool.connection()


class LoginConnections:
    """Login mode: logged in as the organization that is asked for."""

    def __init__(self, url: str, *, connections: int, secrets: Sequence[str], idle_seconds: float) -> None:
        self._url = url
        self._pools = Pools(connections_max=connections, idle_seconds=idle_seconds, wait_seconds=POOL_SECONDS)
        self._logins = logins.Logins(secrets, ask=self._ask)

    def open(self) -> None:
        """Each connection is made when it is asked for: who will ask is not known."""

    def close(self) -> None:
        self._pools.close()

    def ready(self) -> bool:
        try:
            with psycopg.connect(self._url, connect_timeout=2):
                return True
        except psycopg.Error:
            return False

    @contextmanager
    def of(self, role: str) -> Iterator[Connection]:
        connection = self._pools.take((role,), lambda: self._open(role))
        try:
            yield connection
        finally:
            # One with an open transaction, or a lost one, is not kept.
            self._pools.give_back((role,), connection)

    def _open(self, role: str) -> Connection:
        def connect(word: str) -> Connection:
            return psycopg.connect(self._url, user=role, password=word, **_OPTIONS)

        connection = self._logins.open(role, connect)
        _configure(connection)
        return connection

    def _ask(self, role: str | None) -> Mapping[str, int]:
        with psycopg.connect(self._url, autocommit=True, connect_timeout=5) as asking:
            return logins.versions(asking, role=role)


def _configure(connection: Connection) -> None:
    raise_wall(connection, nobody)


def _check(connection: Connection) -> None:
    """Raise when the server is gone. Not through a cursor: there is no organization to ask as."""
    connection.pgconn.exec_(b"")
    if connection.closed or connection.broken:
        raise psycopg.OperationalError("the connection is lost")
