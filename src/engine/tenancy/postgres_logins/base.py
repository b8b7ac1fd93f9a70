"""The database backend of login mode: each scope on connections of its own role.

The wall is the same as in role mode and sends the same settings. `SET LOCAL ROLE` to oneself always
succeeds, and fails on any other login's connection: that is how a statement on the wrong connection
would be noticed, by PostgreSQL itself.

A thread's DatabaseWrapper holds one psycopg connection at a time. It is exchanged when the scope has
changed and nothing has been sent yet in this transaction, which belongs to one context anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections
from psycopg import pq

from engine.tenancy import logins
from engine.tenancy.context import current_scope, entered_scope
from engine.tenancy.pools import Key, Pools
from engine.tenancy.postgres import base
from engine.tenancy.wall import Scope, nobody, wall_of


@cache
def pools() -> Pools:
    """The connections of this process."""
    return Pools(connections_max=settings.DATABASE_LOGIN_CONNECTIONS, idle_seconds=settings.DATABASE_LOGIN_IDLE_SECONDS)


@cache
def _logins(server: Key) -> logins.Logins:
    """What this process knows of the versions on one server. Kept apart for the tests' many servers."""

    def ask(role: str | None) -> Mapping[str, int]:
        params = {**connections["default"].get_connection_params(), "cursor_factory": psycopg.ClientCursor}
        with psycopg.connect(**params, autocommit=True) as asking:
            return logins.versions(asking, role=role)

    return logins.Logins(settings.DATABASE_LOGIN_SECRETS, ask=ask)


def _never() -> bool:
    return False


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL, logged in as the role of the context that each statement is in."""

    # The login of the connection that is held: a role's name, None for the process's own.
    _login: str | None = None

    def ensure_connection(self) -> None:
        raw = self.connection
        if raw is not None and raw.pgconn.transaction_status == pq.TransactionStatus.IDLE:
            scope = entered_scope()
            if scope is not None and scope.role != self._login:
                with self.wrap_database_errors:
                    self._exchange(scope.role)
        super().ensure_connection()

    def _cursor(self, name: str | None = None) -> Any:
        self.ensure_connection()
        return super()._cursor(name)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        scope = entered_scope()
        return self._take(scope.role if scope else None)

    def close_if_unusable_or_obsolete(self) -> None:
        """At the end of a request or task, also leave the connection to others."""
        super().close_if_unusable_or_obsolete()
        if self.connection is not None and not self.in_atomic_block and self.autocommit:
            self._give_back()

    def _close(self) -> None:
        if self.connection is not None:
            pools().forget(self.connection)
        super()._close()

    def _exchange(self, login: str | None) -> None:
        # Back before the next is taken: each thread counts once, so that the bound need not be twice as high.
        self._give_back()
        try:
            raw = self._take(login)
            raw.autocommit = self.autocommit
        except BaseException:
            # As when a connection is lost: a block that has begun cannot go on with another.
            self.closed_in_transaction = self.needs_rollback = self.in_atomic_block
            raise
        self.connection = raw

    def _give_back(self) -> None:
        raw, self.connection = self.connection, None
        if raw.pgconn.transaction_status == pq.TransactionStatus.IDLE:
            raw.autocommit = True
        # Nothing of this thread stays on it: an idle connection would keep the whole wrapper alive.
        wall = wall_of(raw)
        wall.scope, wall.switch_allowed = nobody, _never
        pools().give_back(self._key(self._login), raw)

    def _take(self, login: str | None) -> Any:
        raw = pools().take(self._key(login), lambda: self._open(login))
        wall = wall_of(raw)
        wall.scope, wall.switch_allowed = self._scope_of_this_thread, self._in_test_transaction
        self._login = login
        return raw

    def _open(self, login: str | None) -> Any:
        params = self.get_connection_params()
        if login is None:
            raw = self._connect(params)
        else:
            role = login

            def connect(word: str) -> Any:
                return self._connect({**params, "user": role, "password": word})

            raw = _logins(self._key(None)[:2]).open(role, connect)
        # Who takes it says whose it is.
        wall_of(raw).scope = nobody
        raw.autocommit = True
        self._configure_timezone(raw)
        return raw

    def _connect(self, params: dict[str, Any]) -> Any:
        return super().get_new_connection(params)

    def _key(self, login: str | None) -> Key:
        place = self.settings_dict
        return (place["HOST"], place["PORT"], place["NAME"], login or place["USER"])

    def _scope_of_this_thread(self) -> Scope:
        # A cursor of before an exchange leads to a connection that another thread may hold by now.
        self.validate_thread_sharing()
        return current_scope()
