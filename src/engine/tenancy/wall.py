"""The second and third wall: role and search path travel in the same message as the query.

Nothing here imports Django: the matcher stands behind the same wall as the ORM.

A psycopg connection carries a `Wall`; a `WalledCursor` asks it, before every statement, which
`SET LOCAL`s belong in front. In autocommit each statement is one simple-protocol message
`SET LOCAL ROLE ..; SET LOCAL search_path ..; <statement>`, an implicit transaction of its own
(PostgreSQL, "Multiple Statements in a Simple Query"). In a transaction the settings go with its
first statement. Either way they end with the transaction, so there is nothing to leak to the
next user of a pooled connection, and a statement that is cancelled takes its settings with it.

An organization's schema is called like its role. Where the session's path is `"$user", pg_temp`, which
PostgreSQL resolves for the role of the moment, `SET LOCAL ROLE` alone therefore sets both (ADR 0100).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NoReturn, Self

import psycopg
from psycopg import pq, sql
from psycopg._queries import PostgresQuery
from psycopg.client_cursor import ClientCursor
from psycopg.copy import Copy, Writer
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import Row

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}\Z")
_IDLE = int(pq.TransactionStatus.IDLE)
# How nearly every statement begins; none of them controls a transaction.
_ORDINARY = frozenset(("SELECT", "INSERT", "UPDATE", "DELETE"))
_TRANSACTION_CONTROL = re.compile(
    r"\s*(?P<verb>SAVEPOINT|RELEASE|ROLLBACK|COMMIT|BEGIN|START\s+TRANSACTION|END|ABORT)\b", re.IGNORECASE
)
_ROLLBACKS = ("ROLLBACK", "ABORT")
ROLES_OWN_PATH = '"$user", pg_temp'
"""The path of the logins that carry the wall: whatever role is set finds its own schema."""
_ROLES_OWN_PATH = ROLES_OWN_PATH.encode()


class WallError(RuntimeError):
    """A statement could not be sent behind the wall; it was not sent at all."""


class ContextSwitchError(WallError):
    """A transaction belongs to one context, and another one was entered inside it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a statement may see: the role it runs as and the only schemas that it finds by name.

    `role` None means the login itself, which only provisioning's `ks_owner` has a use for.
    """

    role: str | None
    schemas: tuple[str, ...]
    settings: bytes = field(init=False, compare=False, repr=False)
    """`settings_sql` of this scope, made once."""
    settings_on_own_path: bytes = field(init=False, compare=False, repr=False)
    """What suffices where the session's path is `ROLES_OWN_PATH`."""

    def __post_init__(self) -> None:
        for name in (*self.schemas, *((self.role,) if self.role else ())):
            if not _IDENTIFIER.match(name) or name.startswith("pg_"):
                raise WallError(f"not an identifier that Keystead makes: {name!r}")
        settings = settings_sql(self).encode()
        object.__setattr__(self, "settings", settings)
        follows = self.role is not None and self.schemas == (self.role,)
        object.__setattr__(self, "settings_on_own_path", _role_sql(self).encode() if follows else settings)


@lru_cache(maxsize=8192)
def scope_of(role: str | None, schema: str) -> Scope:
    """The scope of one role and one schema; the same object each time."""
    return Scope(role, (schema,))


def settings_sql(scope: Scope) -> str:
    """The two statements that put a transaction into `scope`, each ended by a semicolon.

    pg_temp is named last because PostgreSQL otherwise searches it first.
    """
    path = ", ".join(f'"{name}"' for name in scope.schemas)
    return f"{_role_sql(scope)}SET LOCAL search_path TO {path + ', ' if path else ''}pg_temp;"


def _role_sql(scope: Scope) -> str:
    role = f'"{scope.role}"' if scope.role else "NONE"
    return f"SET LOCAL ROLE {role};"


class Wall:
    """What one connection has been told in its present transaction.

    `scope` answers at each statement which scope the caller is in, and raises when there is none.
    """

    __slots__ = ("_bound", "_latest", "_sent", "_trusts_report", "scope", "scopes_seen", "switch_allowed")

    def __init__(self, scope: Callable[[], Scope], *, trusts_report: bool = False) -> None:
        self.scope = scope
        # Whether what the connection says of the session's path is true at each moment.
        self._trusts_report = trusts_report
        self._sent: Scope | None = None
        self._bound: Scope | None = None
        self._latest: Scope | None = None
        self.scopes_seen: set[Scope] = set()
        # Only the test suite's outer transaction may change context; the settings are sent again.
        self.switch_allowed: Callable[[], bool] = lambda: False

    def bound(self, status: int) -> Scope | None:
        """The scope that the open transaction belongs to, None outside one."""
        return None if status == _IDLE else self._bound

    def settings_for(self, scope: Scope, pgconn: PGconn) -> bytes | None:
        """The settings to send before the next statement of `scope`, None when they still hold."""
        if pgconn.transaction_status == _IDLE:
            self._sent = self._bound = None
        bound = self._bound
        if bound is not None and bound is not scope and bound != scope and not self.switch_allowed():
            raise ContextSwitchError(
                f"this transaction belongs to {bound.schemas or ('nobody',)}; commit it "
                f"before entering {scope.schemas or ('nobody',)}"
            )
        if self._sent is scope:
            return None
        # The server reports its path with each answer (PostgreSQL 18), so whatever else has set it is noticed.
        if self._trusts_report and pgconn.parameter_status(b"search_path") == _ROLES_OWN_PATH:
            return scope.settings_on_own_path
        return scope.settings

    def sent(self, scope: Scope, status: int) -> None:
        """Note that the settings of `scope` took effect; `status` is the one after them."""
        if scope is not self._latest:
            self._latest = scope
            self.scopes_seen.add(scope)
        if status != _IDLE:
            self._sent = self._bound = scope

    def observe(self, status: int) -> None:
        """Forget a transaction that is over: its settings ended with it."""
        if status == _IDLE:
            self._sent = self._bound = None

    def forget(self) -> None:
        """Note that the settings may be gone (ROLLBACK TO SAVEPOINT undoes SET LOCAL)."""
        self._sent = None

    def unbind(self) -> None:
        """Let the next statement decide which scope this part of the transaction belongs to."""
        self._sent = self._bound = None


def nobody() -> NoReturn:
    """The scope of a connection that nobody holds."""
    raise WallError("a statement outside every organization")


def raise_wall(connection: psycopg.Connection[Any], scope: Callable[[], Scope]) -> Wall:
    """Put `connection` behind a wall. Its cursors must be `WalledCursor`s."""
    wall = Wall(scope, trusts_report=_speaks_with_its_server(connection.pgconn))
    connection.__dict__["keystead_wall"] = wall
    # These reach the server without a cursor, so the wall would not notice where a transaction begins.
    for method in ("transaction", "pipeline"):
        connection.__dict__[method] = _refused(method)
    return wall


def _speaks_with_its_server(pgconn: PGconn) -> bool:
    """Whether the process that answers is the one that greeted.

    Behind a pooler it is not, and there what another client has set on a shared session goes unreported.
    """
    answer = pgconn.exec_(b"SELECT pg_catalog.pg_backend_pid()")
    return answer.status == pq.ExecStatus.TUPLES_OK and answer.get_value(0, 0) == b"%d" % pgconn.backend_pid


def _refused(method: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise WallError(f"connection.{method}() goes around the wall: send BEGIN with a cursor")

    return refuse


def wall_of(connection: psycopg.Connection[Any]) -> Wall:
    """The wall of `connection`; without one, nothing is sent."""
    wall = connection.__dict__.get("keystead_wall")
    if not isinstance(wall, Wall):
        raise WallError("this connection has no wall; make it with raise_wall()")
    return wall


class WalledCursor(ClientCursor[Row]):
    """A client-binding cursor that cannot send a statement outside its scope.

    Every method that reaches the server is listed in tests/engine/tenancy/test_cursor_methods.py.
    """

    # The settings that the statement being sent carries in front of it.
    _ahead: bytes = b""

    def execute(
        self,
        query: Any,
        params: Any = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        wall, pgconn = wall_of(self._conn), self._conn.pgconn
        text = query if isinstance(query, str) else _as_text(query, self)
        if text[:6] not in _ORDINARY and (control := _TRANSACTION_CONTROL.match(text)):
            return self._control_transaction(wall, control["verb"].upper(), query, params)
        scope = wall.scope()
        settings = wall.settings_for(scope, pgconn)
        if settings is None:
            super().execute(query, params, prepare=prepare, binary=binary)
            return self
        self._ahead = settings
        try:
            super().execute(query, params, prepare=prepare, binary=binary)
        except BaseException:
            wall.forget()
            raise
        finally:
            self._ahead = b""
        wall.sent(scope, pgconn.transaction_status)
        return self

    def _control_transaction(self, wall: Wall, verb: str, query: Any, params: Any) -> Self:
        wall.observe(self._conn.pgconn.transaction_status)
        super().execute(query, params)
        if verb in _ROLLBACKS:
            wall.forget()
        elif wall.switch_allowed():
            # A block inside a test's outer transaction belongs to the context that opens it.
            wall.unbind()
        return self

    def _convert_query(self, query: Any, params: Any = None) -> PostgresQuery:
        # Behind psycopg's cache of parsed queries, which would otherwise need an entry for each
        # pair of query and organization, and hardly ever have it.
        converted = super()._convert_query(query, params)
        if self._ahead:
            converted.query = self._ahead + bytes(converted.query)
        return converted

    def _set_results(self, results: list[PGresult]) -> None:
        # The SETs answer too; the caller asked for neither.
        super()._set_results(results[self._ahead.count(b";") :] if self._ahead else results)

    def executemany(self, query: Any, params_seq: Iterable[Any], *, returning: bool = False) -> None:
        self._send_settings_first("executemany")
        super().executemany(query, params_seq, returning=returning)

    def copy(self, statement: Any, params: Any = None, *, writer: Writer | None = None) -> AbstractContextManager[Copy]:  # type: ignore[override]
        self._send_settings_first("copy")
        return super().copy(statement, params, writer=writer)

    def stream(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise WallError("stream() sends one statement only, so it cannot carry its scope: page by key instead")

    def _send_settings_first(self, method: str) -> None:
        """These bypass execute(): their settings go ahead of them, in a transaction that lasts."""
        status = self._conn.pgconn.transaction_status
        if status == _IDLE and self._conn.autocommit:
            raise WallError(f"{method}() needs an open transaction, so that its scope can be sent ahead of it")
        wall = wall_of(self._conn)
        scope = wall.scope()
        settings = wall.settings_for(scope, self._conn.pgconn)
        if settings is None:
            return
        try:
            super().execute(settings)
        except BaseException:
            wall.forget()
            raise
        wall.sent(scope, self._conn.pgconn.transaction_status)


def _as_text(query: Any, cursor: ClientCursor[Any]) -> str:
    if isinstance(query, bytes):
        return query.decode()
    if isinstance(query, sql.Composable):
        return query.as_string(cursor)
    raise WallError(f"cannot put the wall in front of a {type(query).__name__}")
