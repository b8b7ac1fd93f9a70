"""Django's schema editor, for what PostgreSQL refuses inside a transaction."""

from __future__ import annotations

import re
from typing import Any

import psycopg
from django.db.backends.postgresql.schema import DatabaseSchemaEditor as PostgresSchemaEditor
from psycopg import ClientCursor, sql

from engine.tenancy.context import current_scope
from engine.tenancy.wall import WallError

_CONCURRENTLY = re.compile(r"\s*(?:CREATE\s+(?:UNIQUE\s+)?|DROP\s+|RE)INDEX\s+CONCURRENTLY\b", re.IGNORECASE)
_PLAIN = ("host", "port", "user", "password", "dbname", "connect_timeout")


class DatabaseSchemaEditor(PostgresSchemaEditor):
    """Sends an index that is built concurrently over a connection of its own.

    Role and path travel in the same message as a statement, which makes the message a transaction, and
    there PostgreSQL builds nothing concurrently. So the owner sets the path of a connection that serves
    this statement alone.
    """

    def execute(self, sql: Any, params: Any = ()) -> None:
        text = str(sql)
        if self.collect_sql or not _CONCURRENTLY.match(text):
            super().execute(sql, params)
            return
        if params:
            text = self.connection.ops.compose_sql(text, params)
        _alone(self.connection.get_connection_params(), text)


def plain_connection(params: dict[str, Any]) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection in autocommit that is not behind the wall, for an owner who qualifies names or sets the path."""
    return psycopg.connect(
        **{key: params[key] for key in _PLAIN if key in params},
        autocommit=True,
        cursor_factory=ClientCursor,
        prepare_threshold=None,
        # What a killed migrator began ends soon after it.
        options="-c client_connection_check_interval=1s",
    )


def _alone(params: dict[str, Any], statement: str) -> None:
    scope = current_scope()
    if scope.role is not None:
        raise WallError("only the owner defines indexes")
    with plain_connection(params) as raw:
        path = sql.SQL(", ").join(sql.Identifier(name) for name in (*scope.schemas, "pg_temp"))
        raw.execute(sql.SQL("SET search_path TO {}").format(path))
        raw.execute(statement)
