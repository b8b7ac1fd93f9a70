"""The ledger of the fleet: what each migration did to each organization.

Rows are written over the connection that applies the migration, so that `done` commits with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from engine import ids
from provisioning.fleet.planning import Key, Path

_UPSERT = """
    INSERT INTO public.provisioning_fleetstep AS step
        (id, created_at, updated_at, organization_id, app, migration, path, state, attempts, error, duration_ms)
    VALUES {rows}
    ON CONFLICT (organization_id, app, migration) DO UPDATE SET
        updated_at = excluded.updated_at, path = excluded.path, state = excluded.state, error = excluded.error,
        duration_ms = excluded.duration_ms, attempts = step.attempts + excluded.attempts
"""
_ROW = sql.SQL("({id}, {now}, {now}, {organization}, {app}, {migration}, {path}, {state}, {attempts}, {error}, {ms})")
_SINCE_BEGIN = sql.SQL("1000 * extract(epoch FROM clock_timestamp() - transaction_timestamp())")
_ERROR_CHARACTERS_MAX = 300


def note(
    *,
    organization_id: UUID,
    keys: Iterable[Key],
    path: Path,
    state: str,
    now: datetime,
    attempts: int,
    error: str = "",
) -> sql.Composed:
    """The statement that notes migrations of one organization; its duration is the transaction's so far.

    `attempts` are those since the last note.
    """
    rows = [
        _ROW.format(
            id=sql.Literal(ids.uuid7()),
            now=sql.Literal(now),
            organization=sql.Literal(organization_id),
            app=sql.Literal(app),
            migration=sql.Literal(name),
            path=sql.Literal(str(path)),
            state=sql.Literal(state),
            attempts=sql.Literal(attempts),
            error=sql.Literal(error[:_ERROR_CHARACTERS_MAX]),
            ms=_SINCE_BEGIN,
        )
        for app, name in keys
    ]
    return sql.SQL(_UPSERT).format(rows=sql.SQL(", ").join(rows))


def named(error: BaseException) -> str:
    """An error by its code and by the names that it gives, without the values that it may quote."""
    cause: Any = error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error
    parts = [type(cause).__name__]
    if isinstance(cause, psycopg.Error):
        if cause.sqlstate:
            parts.append(f"({cause.sqlstate})")
        diag = cause.diag
        parts += [
            f"{what} {name}"
            for what, name in (
                ("table", diag.table_name),
                ("column", diag.column_name),
                ("constraint", diag.constraint_name),
            )
            if name
        ]
    return " ".join(parts)
