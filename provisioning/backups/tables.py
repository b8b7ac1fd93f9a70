"""An organization's rows, as PostgreSQL's COPY writes and reads them: out of one snapshot, into an empty schema.

Text, not binary: it does not depend on the server's version. Ordered by the primary key, so that the
same rows have the same bytes wherever they stand. The recorder of migrations is structure and left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from provisioning import schemas
from provisioning.backups.archive import Row, Shape

Connection = psycopg.Connection[tuple[Any, ...]]

_RECORDER = "django_migrations"
# What COPY's text depends on. A pinned time zone and styles make it the same on every server.
_FORM = (
    "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, MDY'; SET LOCAL intervalstyle = 'postgres';"
    " SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'"
)
_SHAPES = """
    SELECT c.relname::text,
        array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attgenerated = ''),
        coalesce((SELECT array_agg(k.attname::text ORDER BY position)
            FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS key(attnum, position)
            JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = key.attnum
            WHERE i.indrelid = c.oid AND i.indisprimary), '{}')
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> %s
    GROUP BY c.oid, c.relname ORDER BY c.relname
"""
_REFERENCES = """
    SELECT DISTINCT a.relname::text, b.relname::text
    FROM pg_constraint JOIN pg_class a ON a.oid = conrelid JOIN pg_class b ON b.oid = confrelid
    WHERE contype = 'f' AND a.relnamespace = %s::regnamespace AND conrelid <> confrelid
"""
_IDENTITIES = """
    SELECT c.relname::text, a.attname::text, pg_get_serial_sequence(format('%%I.%%I', n.nspname, c.relname), a.attname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE n.nspname = %s AND a.attidentity <> '' AND c.relname <> %s
"""


@contextmanager
def snapshot(*, schema: str) -> Iterator[Connection]:
    """A connection that sees one moment of the whole database, for as long as it takes.

    The tables cannot change their structure meanwhile; their rows can, and others do not wait.
    """
    with schemas.owner_connection() as raw:
        raw.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        raw.read_only = True
        with raw.transaction():
            raw.execute(_FORM)
            for shape in shapes(raw, schema=schema):
                raw.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.Identifier(schema, shape.name)))
            yield raw


def shapes(raw: Connection, *, schema: str) -> list[Shape]:
    """The tables of a schema, by name."""
    rows = raw.execute(_SHAPES, [schema, _RECORDER]).fetchall()
    return [Shape(*row) for row in rows]


def rows(raw: Connection, *, schema: str, shape: Shape) -> Iterator[Row]:
    """The rows of a table as COPY writes them, one by one, in the order of the key. In a transaction."""
    order = shape.key or shape.columns
    query = sql.SQL("COPY (SELECT {} FROM {} ORDER BY {}) TO STDOUT").format(
        _names(shape.columns), sql.Identifier(schema, shape.name), _names(order)
    )
    with raw.cursor() as cursor, cursor.copy(query) as copy:
        yield from copy


def tally(raw: Connection, *, schema: str, shape: Shape) -> tuple[int, str]:
    """How many rows a table holds, and the hash of them all."""
    count, digest = 0, hashlib.sha256()
    for row in rows(raw, schema=schema, shape=shape):
        count += 1
        digest.update(row)
    return count, digest.hexdigest()


@contextmanager
def reading() -> Iterator[Connection]:
    """A connection in a transaction whose COPY has the form of a backup's."""
    with schemas.owner_connection() as raw, raw.transaction():
        raw.execute(_FORM)
        yield raw


class Loader:
    """Fills a schema's empty tables, in one transaction: all rows, or none."""

    def __init__(self, raw: Connection, *, schema: str) -> None:
        self._raw = raw
        self._schema = schema

    def empty(self) -> None:
        """Take back what an interrupted run may have left."""
        self._raw.execute(_FORM)
        names = [sql.Identifier(self._schema, shape.name) for shape in shapes(self._raw, schema=self._schema)]
        self._raw.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(names)))

    def fill(self, shape: Shape, parts: Iterable[bytes]) -> None:
        """Write a table's rows."""
        query = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(self._schema, shape.name), _names(shape.columns)
        )
        with self._raw.cursor() as cursor, cursor.copy(query) as copy:
            for part in parts:
                copy.write(part)

    def count_on(self) -> None:
        """Let every identity column go on above its highest row."""
        for table, column, sequence in self._raw.execute(_IDENTITIES, [self._schema, _RECORDER]).fetchall():
            self._raw.execute(
                sql.SQL("SELECT setval(%s, coalesce(max({}), 0) + 1, false) FROM {}").format(
                    sql.Identifier(column), sql.Identifier(self._schema, table)
                ),
                [sequence],
            )


def in_order(raw: Connection, *, schema: str) -> list[Shape]:
    """The tables, each behind those that it refers to: some foreign keys are not deferrable."""
    left = {shape.name: shape for shape in shapes(raw, schema=schema)}
    needs: dict[str, set[str]] = {name: set() for name in left}
    for table, referred in raw.execute(_REFERENCES, [schema]).fetchall():
        needs[table].add(referred)
    ordered: list[Shape] = []
    while left:
        free = sorted(name for name in left if not needs[name] & left.keys())
        # A circle is made of deferrable ones.
        ordered += [left.pop(name) for name in free or sorted(left)[:1]]
    return ordered


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in columns)
