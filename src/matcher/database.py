"""The rows that the matcher reads, always as the role of the organization that a token names."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import errors

from engine import ids
from engine.keys.tree import OrganizationKeyRow, PersonKeyRow
from engine.service_tokens import OrganizationClaims
from engine.tenancy import logins
from engine.tenancy.wall import Scope, WallError, nobody, wall_of
from matcher.connections import BUSY, Connection, Connections
from matcher.problems import Problem

logger = logging.getLogger("matcher")

UNREACHABLE: Final = "organization_unreachable"

# Whose template may be compared at all. Read again for every candidate, so it decides, not the memory.
_MATCHABLE: Final = """
    FROM identity_template t
    JOIN identity_person p ON p.id = t.person_id AND p.status = 'active'
    JOIN keyring_personkey k ON k.person_id = t.person_id AND k.purpose = 'biometric'
    WHERE t.state = 'active' AND t.modality = %s AND t.model = %s
      AND EXISTS (SELECT 1 FROM identity_consent c
                  WHERE c.person_id = t.person_id AND c.purpose = 'identify' AND c.withdrawn_at IS NULL)
"""
_REFERENCE: Final = """
    SELECT t.id, t.person_id, t.version, t.dimensions, t.sealed, k.id, k.organization_key_version, k.wrapped
"""
_REFERENCE_TYPES: Final = ("uuid", "uuid", "int4", "int2", "bytea", "uuid", "int4", "bytea")
_NOT_OF_THIS_DATABASE: Final = (
    errors.InsufficientPrivilege,
    errors.InvalidParameterValue,
    errors.UndefinedObject,
    errors.UndefinedTable,
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A sealed template with the wrapped key of its person."""

    template_id: UUID
    person_id: UUID
    version: int
    dimensions: int
    sealed: bytes
    organization_key_version: int
    person_key: PersonKeyRow


@dataclass(frozen=True, slots=True)
class KeyRows:
    """An organization's biometric keys by version, and which of them wraps new person keys."""

    by_version: Mapping[int, OrganizationKeyRow]
    active_version: int | None

    @property
    def active(self) -> OrganizationKeyRow:
        """The key without which nothing of the organization is opened. A Problem when there is none."""
        if self.active_version is None:
            raise Problem(409, "organization_key_missing", "The organization has no active biometric key.")
        return self.by_version[self.active_version]


@dataclass(frozen=True, slots=True)
class Changes:
    """What the sealed feed said since a sequence: whose rows have changed, and how far it was read."""

    sequence: int
    people: frozenset[UUID | None]
    """None stands for an event that names no person, after which everything is read again."""
    more: bool


class Database:
    """Connections behind the wall. Every use names its organization."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def open(self) -> None:
        """Start to connect in the background. A database that is down is waited for."""
        self._connections.open()

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()

    def ready(self) -> bool:
        """Whether a connection answers now."""
        return self._connections.ready()

    @contextmanager
    def of(self, organization: OrganizationClaims) -> Iterator[Connection]:
        """A connection on which every statement runs as the organization's role in its schema."""
        try:
            scope = Scope(organization.role_name, (organization.schema_name,))
        except WallError as error:
            raise _unreachable(error) from error
        try:
            with self._connections.of(organization.role_name) as connection:
                wall = wall_of(connection)
                wall.scope = lambda: scope
                try:
                    yield connection
                finally:
                    wall.scope = nobody
        except _NOT_OF_THIS_DATABASE as error:
            raise _unreachable(error) from error
        except logins.LoginMissing as error:
            raise _unreachable(error) from error
        except (psycopg.OperationalError, psycopg.InterfaceError, *BUSY) as error:
            raise Problem(503, "database_unreachable", "The database did not answer.") from error


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """One view of the data for several statements."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        yield
    finally:
        # A connection that was lost meanwhile is thrown away by the pool.
        if not connection.closed:
            connection.execute("ROLLBACK")


def organization_keys(connection: Connection, organization: OrganizationClaims) -> KeyRows:
    """The organization's biometric keys."""
    rows = connection.execute(
        "SELECT id, version, wrapped, kms_key_id, state FROM keyring_organizationkey WHERE purpose = 'biometric'"
    ).fetchall()
    by_version = {
        version: OrganizationKeyRow(
            id=key_id,
            organization_id=organization.id,
            purpose="biometric",
            version=version,
            wrapped=bytes(wrapped),
            kms_key_id=kms_key_id,
        )
        for key_id, version, wrapped, kms_key_id, _ in rows
    }
    return KeyRows(by_version, next((row[1] for row in rows if row[4] == "active"), None))


def gallery(
    connection: Connection, organization: OrganizationClaims, *, modality: str, model: str
) -> Generator[Reference, None, None]:
    """Every template that may be compared. Streams, so it needs an open transaction."""
    # COPY: its rows stream in binary; a plain SELECT would hold them all, twice as long, as hex.
    query = f"COPY ({_REFERENCE} {_MATCHABLE}) TO STDOUT (FORMAT BINARY)"  # constants
    with connection.cursor() as cursor, cursor.copy(query, [modality, model]) as copy:
        copy.set_types(_REFERENCE_TYPES)
        for row in copy.rows():
            yield _reference(organization, row)


def gallery_extent(connection: Connection, *, modality: str, model: str) -> tuple[int, int]:
    """How many templates a gallery would hold and how many dimensions most have."""
    row = connection.execute(
        f"SELECT count(*), coalesce(mode() WITHIN GROUP (ORDER BY t.dimensions), 0) {_MATCHABLE}",
        [modality, model],
    ).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def dimensions_of(connection: Connection, *, modality: str, model: str) -> int | None:
    """The length of the active templates of a modality and model, None when there are none."""
    row = connection.execute(
        "SELECT dimensions FROM identity_template WHERE modality = %s AND model = %s AND state = 'active' LIMIT 1",
        [modality, model],
    ).fetchone()
    return row[0] if row else None


def references_of_people(
    connection: Connection, organization: OrganizationClaims, people: list[UUID], *, modality: str, model: str
) -> list[Reference]:
    """What may be compared of these people."""
    query = f"{_REFERENCE} {_MATCHABLE} AND t.person_id = ANY(%s)"
    rows = connection.execute(query, [modality, model, people])
    return [_reference(organization, row) for row in rows]


def references_by_id(
    connection: Connection, organization: OrganizationClaims, templates: list[UUID], *, modality: str, model: str
) -> list[Reference]:
    """Those of these templates that may be compared at this moment."""
    query = f"{_REFERENCE} {_MATCHABLE} AND t.id = ANY(%s)"
    rows = connection.execute(query, [modality, model, templates])
    return [_reference(organization, row) for row in rows]


def feed_position(connection: Connection) -> int:
    """The number of the last sealed event, 0 when there is none."""
    row = connection.execute("SELECT coalesce(max(sequence), 0) FROM events_seal").fetchone()
    return row[0] if row else 0


def changes_since(connection: Connection, sequence: int, *, limit: int) -> Changes:
    """Read on in the sealed events. Those of other types only move the position."""
    rows = connection.execute(
        """
        SELECT s.sequence, e.type LIKE 'identity.%%',
               CASE WHEN e.type LIKE 'identity.%%' THEN e.body::jsonb #>> '{data,person}' END
        FROM events_seal s JOIN events_event e ON e.id = s.row_id
        WHERE s.sequence > %s ORDER BY s.sequence LIMIT %s
        """,
        [sequence, limit],
    ).fetchall()
    people = frozenset(_person(text) for _, of_identity, text in rows if of_identity)
    return Changes(sequence=rows[-1][0] if rows else sequence, people=people, more=len(rows) == limit)


def _person(text: str | None) -> UUID | None:
    try:
        return ids.decode("per", text or "")
    except ids.InvalidId:
        return None


def _reference(organization: OrganizationClaims, row: tuple[Any, ...]) -> Reference:
    template_id, person_id, version, dimensions, sealed, key_id, key_version, wrapped = row
    return Reference(
        template_id=template_id,
        person_id=person_id,
        version=version,
        dimensions=dimensions,
        sealed=bytes(sealed),
        organization_key_version=key_version,
        person_key=PersonKeyRow(
            id=key_id,
            organization_id=organization.id,
            person_id=person_id,
            purpose="biometric",
            wrapped=bytes(wrapped),
        ),
    )


def _unreachable(error: Exception) -> Problem:
    logger.warning("an organization cannot be reached: %s", error)
    return Problem(403, UNREACHABLE, "The token's schema or role cannot be used here.")
