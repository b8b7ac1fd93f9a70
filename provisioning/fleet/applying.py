"""One hop into one organization's schema: all of it, with the fingerprint that says so, or nothing.

A lock is asked for and not waited for longer than `lock_timeout_ms`: whoever comes to the table after an
ALTER that waits has to wait behind it. Then the transaction is given up, and tried again later. The tables
of one transaction share that time, because it holds those that it has while it waits for the next.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

import psycopg
from django.db import Error as DjangoError
from django.db import connection, transaction
from django.db.migrations import Migration
from django.db.migrations.state import ProjectState
from psycopg import sql

from engine.clock import Clock
from engine.tenancy.context import owner_schema
from engine.tenancy.wall import Scope, settings_sql
from provisioning import schemas
from provisioning.fleet import ledger
from provisioning.fleet.planning import Hop, Key, Path

_BETWEEN_MIGRATIONS = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED"
# The run's end is flushed, and so is then what was committed before it (ADR 0079).
_NOT_FLUSHED = "SET LOCAL synchronous_commit = off"
_LOCKED_AND_AT = (
    "SELECT pg_try_advisory_{what}lock(hashtextextended({schema}, 0)),"
    " (SELECT schema_fingerprint FROM public.organizations_organization WHERE id = {id})"
)
_CONCURRENT_INDEX = re.compile(
    r'CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?"?(?P<name>\w+)"?', re.IGNORECASE
)
# Lock not available, deadlock, serialization, "tuple concurrently updated", an index that is just being built.
_PASSING = frozenset({"55P03", "40P01", "40001", "XX000"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An organization that a hop is for."""

    id: UUID
    slug: str
    schema: str
    role: str


class Moved(Exception):
    """The organization is not, or no longer, where the hop begins."""


class Busy(Exception):
    """Somebody is at work on it: try again."""


class Failed(Exception):
    """A migration does not work for this organization; nothing of the hop was kept."""

    def __init__(self, key: Key | None, reason: str) -> None:
        super().__init__(reason)
        self.key = key
        self.reason = reason


class Gone(Exception):
    """The connection broke. What was not committed did not happen."""


@dataclass(slots=True, kw_only=True)
class Applier:
    """Applies hops over one connection. One per thread."""

    raw: psycopg.Connection[tuple[object, ...]]
    lock_timeout_ms: int
    clock: Clock

    def apply(self, hop: Hop, target: Target, *, attempts: int) -> None:
        """Raises Moved, Busy, Failed or Gone."""
        try:
            if hop.path is Path.SQL:
                self._apply_sql(hop, target, attempts)
            else:
                self._apply_with_django(hop, target)
        except (psycopg.Error, DjangoError) as error:
            raise classified(error) from error

    def note_failure(self, hop: Hop, target: Target, failure: Failed, *, attempts: int) -> None:
        """Keep in the ledger why a hop did not get in."""
        keys = [failure.key] if failure.key else [step.key for step in hop.steps]
        if keys:
            self.raw.execute(
                ledger.note(
                    organization_id=target.id,
                    keys=keys,
                    path=hop.path,
                    state="failed",
                    now=self.clock(),
                    attempts=attempts if hop.path is Path.SQL else 0,
                    error=failure.reason,
                )
            )

    def _apply_sql(self, hop: Hop, target: Target, attempts: int) -> None:
        at: Key | None = None
        try:
            self._open(hop, target)
            closing = sql.SQL("; ").join([*self._closing(hop, target, attempts), sql.SQL("COMMIT")]).as_string(self.raw)
            for number, step in enumerate(hop.steps):
                at = step.key
                parts = [_BETWEEN_MIGRATIONS + ";"] if number else []
                parts += step.statements
                if number == len(hop.steps) - 1:
                    # What ends the hop goes along with its last migration.
                    parts.append(closing)
                self.raw.execute("\n".join(parts).encode())
            if not hop.steps:
                self.raw.execute(closing.encode())
        except psycopg.Error as error:
            raise classified(error, key=at) from error
        finally:
            self._roll_back()

    def _open(self, hop: Hop, target: Target) -> None:
        """Begin the transaction, with the organization in hand. One message."""
        opening = f"BEGIN; SET LOCAL lock_timeout = {self._wait_ms(hop)}; {_NOT_FLUSHED};{_path(target)}"
        cursor = self.raw.execute(sql.SQL(opening) + _asking(target, what="xact_"))
        while cursor.nextset():
            pass
        _refuse(cursor.fetchone(), hop)

    def _apply_with_django(self, hop: Hop, target: Target) -> None:
        migration, state = hop.for_django()
        key = (migration.app_label, migration.name)
        try:
            with owner_schema(target.schema):
                if migration.atomic:
                    self._in_one_transaction(hop, target, migration, state)
                else:
                    self._piece_by_piece(hop, target, migration, state)
        except (Moved, Busy):
            raise
        except (psycopg.Error, DjangoError) as error:
            raise classified(error, key=key) from error
        except Exception as error:
            # A migration's own code may raise anything; the organization is left as it was.
            raise Failed(key, ledger.named(error)) from error

    def _in_one_transaction(self, hop: Hop, target: Target, migration: Migration, state: ProjectState) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {self._wait_ms(hop)}")
            cursor.execute(_asking(target, what="xact_").as_string(self.raw))
            _refuse(cursor.fetchone(), hop)
            self._note_begin(hop, target)
            with connection.schema_editor(atomic=True) as editor:
                migration.apply(state, editor)
            for statement in self._closing(hop, target, 0):
                cursor.execute(statement.as_string(self.raw))

    def _piece_by_piece(self, hop: Hop, target: Target, migration: Migration, state: ProjectState) -> None:
        """Each operation commits by itself, and the record of them last: whatever is cut short runs again."""
        self._hold(hop, target, what="")
        try:
            self._note_begin(hop, target)
            self._drop_left_over(target, *hop.for_django())
            with connection.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = {self.lock_timeout_ms}")
            try:
                with connection.schema_editor(atomic=False) as editor:
                    migration.apply(state, editor)
            finally:
                connection.close()
            with transaction.atomic(), connection.cursor() as cursor:
                for statement in self._closing(hop, target, 0):
                    cursor.execute(statement.as_string(self.raw))
        finally:
            if not self.raw.broken:
                self.raw.execute("SELECT pg_advisory_unlock_all()")

    def _wait_ms(self, hop: Hop) -> int:
        # 0 would be for ever.
        return max(1, self.lock_timeout_ms // max(1, hop.tables))

    def _hold(self, hop: Hop, target: Target, *, what: str) -> None:
        _refuse(self.raw.execute(_asking(target, what=what)).fetchone(), hop)

    def _closing(self, hop: Hop, target: Target, attempts: int) -> list[sql.Composed]:
        """What says that the hop was made, in the transaction that makes it."""
        names = {"schema": sql.Identifier(target.schema), "role": sql.Identifier(target.role)}
        statements = [sql.SQL(text).format(**names) for text in hop.grants]
        if hop.recorded:
            rows = sql.SQL(", ").join(
                sql.SQL("({}, {})").format(sql.Literal(app), sql.Literal(name)) for app, name in hop.recorded
            )
            statements.append(
                sql.SQL(
                    "INSERT INTO {schema}.django_migrations (app, name, applied)"
                    " SELECT app, name, now() FROM (VALUES {rows}) AS made (app, name)"
                    " WHERE NOT EXISTS (SELECT FROM {schema}.django_migrations AS there"
                    " WHERE there.app = made.app AND there.name = made.name)"
                ).format(rows=rows, **names)
            )
        if hop.steps:
            statements.append(self._noted(hop, target, "done", attempts))
        statements.append(
            # Whoever lost the connection that held the lock must not take back what another did since.
            sql.SQL(
                "UPDATE public.organizations_organization SET schema_fingerprint = {end}"
                " WHERE id = {id} AND schema_fingerprint = {start}"
            ).format(end=sql.Literal(hop.end), id=sql.Literal(target.id), start=sql.Literal(hop.start))
        )
        return statements

    def _note_begin(self, hop: Hop, target: Target) -> None:
        """Let it be seen while it runs, and after a kill: from outside nobody could tell what it is at.

        Only with the lock in hand: a commit that the client did not hear of would be noted as not done.
        """
        self.raw.execute(self._noted(hop, target, "running", 1))

    def _noted(self, hop: Hop, target: Target, state: str, attempts: int) -> sql.Composed:
        return ledger.note(
            organization_id=target.id,
            keys=[step.key for step in hop.steps],
            path=hop.path,
            state=state,
            now=self.clock(),
            attempts=attempts,
        )

    def _drop_left_over(self, target: Target, migration: Migration, state: ProjectState) -> None:
        """Drop indexes that an earlier, cut short run of this migration left behind, valid or not.

        The recorder does not know the migration, so whatever has the name that it gives is such a rest.
        """
        with connection.schema_editor(collect_sql=True, atomic=False) as editor:
            migration.apply(state, editor, collect_sql=True)
        for name in _CONCURRENT_INDEX.findall("\n".join(editor.collected_sql)):
            self.raw.execute(
                sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(target.schema, name))
            )

    def _roll_back(self) -> None:
        if not self.raw.broken and self.raw.pgconn.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            try:
                self.raw.execute("ROLLBACK")
            except psycopg.OperationalError:
                # The connection is gone, and the transaction with it.
                self.raw.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unnoted:
    """An organization whose schema was made before fingerprints were noted, and the one that it has."""

    id: UUID
    schema: str
    fingerprint: str


def unnoted(raw: psycopg.Connection[tuple[object, ...]]) -> list[Unnoted]:
    """Read from their recorders what fingerprints are missing; nothing is written."""
    rows = raw.execute(
        "SELECT id, schema_name FROM public.organizations_organization"
        " JOIN pg_catalog.pg_namespace ON nspname = schema_name WHERE schema_fingerprint = ''"
    ).fetchall()
    read = []
    for row_id, schema in rows:
        have = raw.execute(
            sql.SQL("SELECT app, name FROM {}.django_migrations").format(sql.Identifier(str(schema)))
        ).fetchall()
        # Not settled: who made it did not say what its role may do.
        found = schemas.fingerprint_of(((str(app), str(name)) for app, name in have), privileges_settled=False)
        read.append(Unnoted(id=UUID(str(row_id)), schema=str(schema), fingerprint=found))
    return read


def adopt(raw: psycopg.Connection[tuple[object, ...]]) -> None:
    """Give a fingerprint to organizations whose schema was made before fingerprints were noted."""
    for one in unnoted(raw):
        raw.execute(
            "UPDATE public.organizations_organization SET schema_fingerprint = %s"
            " WHERE id = %s AND schema_fingerprint = ''",
            [one.fingerprint, one.id],
        )


def _path(target: Target) -> str:
    return settings_sql(Scope(None, (target.schema,)))


def _asking(target: Target, *, what: str) -> sql.Composed:
    return sql.SQL(_LOCKED_AND_AT.replace("{what}", what)).format(
        schema=sql.Literal(target.schema), id=sql.Literal(target.id)
    )


def _refuse(row: tuple[object, ...] | None, hop: Hop) -> None:
    if not row or not row[0]:
        raise Busy
    if row[1] != hop.start:
        raise Moved


def classified(error: BaseException, *, key: Key | None = None) -> Busy | Failed | Gone:
    """What an error means for the organization that was worked on."""
    cause = error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error
    if isinstance(cause, psycopg.Error):
        state = cause.sqlstate or ""
        if state in _PASSING:
            return Busy()
        # 57P..: PostgreSQL is shutting down or has just started. No code: it is not there.
        if state.startswith(("57P", "08")) or (not state and isinstance(cause, psycopg.OperationalError)):
            return Gone()
    return Failed(key, ledger.named(error))
