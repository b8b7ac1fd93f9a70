"""What destroys an organization, as the owner. Each of these may run twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors, sql

from engine.errors import DomainError
from provisioning import schemas
from provisioning.models import FlowKind
from shared.organizations.models import Organization

# Somebody who still reads there would make everybody behind this statement wait.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
_KEY_TABLES = ("keyring_personkey", "keyring_organizationkey", "access_signingkey")


class SchemaBusyError(DomainError):
    code = "schema_busy"
    status = 409
    title = "Somebody still works in the organization's schema"


class RoleInUseError(DomainError):
    code = "role_in_use"
    status = 409
    title = "The organization's role still owns or may use something"


@dataclass(frozen=True, slots=True)
class Holdings:
    """The schemas and roles that are an organization's, whether anybody still works there or not."""

    schemas: list[str]
    roles: list[str]


def holdings(row: Organization) -> Holdings:
    """The present ones, and those that restores have left or begun, with the same keys in them.

    Also after they are gone: so a certificate can be checked years later. Call inside `public_schema()`.
    """
    names = [(row.schema_name, row.role_name)]
    for given in row.flows.filter(kind=FlowKind.RESTORE).values_list("parameters", flat=True):
        names += [(given[f"{age}schema"], given[f"{age}role"]) for age in ("old_", "") if given.get(f"{age}schema")]
    return Holdings(*(sorted(set(kind)) for kind in zip(*names, strict=True)))


def keys(*, schema: str) -> list[dict[str, Any]]:
    """The wrapped organization keys of all purposes, without what they wrap."""
    with schemas.owner_connection() as raw:
        if not _tables(raw, schema, ["keyring_organizationkey"]):
            return []
        table = sql.Identifier(schema, "keyring_organizationkey")
        rows = raw.execute(
            sql.SQL("SELECT id::text, purpose, version, kms_key_id FROM {} ORDER BY purpose, version").format(table)
        ).fetchall()
    return [dict(zip(("id", "purpose", "version", "kms_key_id"), row, strict=True)) for row in rows]


def destroy_keys(*, schema: str) -> None:
    """Delete every wrapped key. What was sealed under them cannot be opened any more, wherever it is."""
    with schemas.owner_connection() as raw, _in_time(), raw.transaction():
        # A copy that was not finished, or is of an earlier release, need not have them all.
        there = _tables(raw, schema, _KEY_TABLES)
        if not there:
            return
        raw.execute(_LOCK_TIMEOUT)
        names = sql.SQL(", ").join(sql.Identifier(schema, table) for table in there)
        # TRUNCATE gives the files back at once, where deleted rows would wait for a vacuum.
        raw.execute(sql.SQL("TRUNCATE {}").format(names))


def drop_schema(*, schema: str) -> None:
    """Drop the schema, and say on the organization's row that there is none."""
    with schemas.owner_connection() as raw, _in_time(), raw.transaction():
        raw.execute(_LOCK_TIMEOUT)
        raw.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
        raw.execute(
            "UPDATE public.organizations_organization SET schema_fingerprint = '' WHERE schema_name = %s", [schema]
        )


def drop_role(*, role: str) -> None:
    """Drop the role. Raises RoleInUseError while another database of the server (a restored copy) uses it."""
    with schemas.owner_connection() as raw:
        try:
            raw.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
        except errors.DependentObjectsStillExist as error:
            raise RoleInUseError("Does another database of this server hold a copy? Drop that first.") from error


@contextmanager
def _in_time() -> Iterator[None]:
    """Turns a lock that was not given in time into an error that says so."""
    try:
        yield
    except errors.LockNotAvailable as error:
        raise SchemaBusyError("It is tried again.") from error


def _tables(raw: psycopg.Connection[tuple[object, ...]], schema: str, names: Sequence[str]) -> list[str]:
    found = raw.execute(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = %s AND tablename = ANY(%s) ORDER BY 1",
        [schema, list(names)],
    )
    return [str(name) for (name,) in found.fetchall()]


def remains(held: Holdings) -> list[str]:
    """What of an organization PostgreSQL still has. Any login may ask."""
    with schemas.owner_connection() as raw:
        found = raw.execute(
            "SELECT 'the schema ' || nspname FROM pg_namespace WHERE nspname = ANY(%s)"
            " UNION ALL SELECT 'the role ' || rolname FROM pg_roles WHERE rolname = ANY(%s) ORDER BY 1",
            [held.schemas, held.roles],
        )
        return [str(what) for (what,) in found.fetchall()]
