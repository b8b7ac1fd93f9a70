"""Schemas made ahead, so that a new organization need not wait for its own.

The provisioner keeps `settings.READY_SCHEMAS` of them, one transaction each, at a pace that leaves the
database to those who need it now. A claim is one statement in the transaction that inserts the
organization: it rolls back with it, and two claims never get the same schema. Only a schema with
exactly this release's migrations is handed out; the filler drops those of others after an hour.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Count, Min
from psycopg import sql

from engine import ids
from engine.clock import Clock, utc_now
from provisioning import schemas
from provisioning.models import ReadySchema

# One filler at a time, however many provisioners there are: else they exceed size and pace together.
_FILL_LOCK = 0x6B735F706F6F6C
_OPAQUE_BYTES = 10
_CLAIM = """
    DELETE FROM public.provisioning_readyschema WHERE id = (
        SELECT id FROM public.provisioning_readyschema WHERE fingerprint = %s
        ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
    ) RETURNING schema_name, role_name
"""
# While a release is rolled out, two fill the pool beside each other: what is young is the other's and in use.
_IN_USE = timedelta(hours=1)
_STALE = """
    SELECT id, schema_name, role_name FROM public.provisioning_readyschema
    WHERE fingerprint <> %(current)s AND (%(all)s OR created_at < %(before)s)
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """A schema and its role. Both are called alike, and say nothing about the organization."""

    schema: str
    role: str
    fingerprint: str = ""
    """Which migrations the schema has; empty when it is still to be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """The ready schemas of one fingerprint."""

    fingerprint: str
    is_current: bool
    count: int
    oldest_at: datetime


def claim() -> Names:
    """A ready schema, or names for one that is still to be made.

    Call inside `public_schema()`, in the transaction that inserts the organization.
    """
    current = schemas.fingerprint()
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [current])
        row = cursor.fetchone()
    return Names(schema=row[0], role=row[1], fingerprint=current) if row else new_names()


def new_names() -> Names:
    """Names that no schema and no role of this server has."""
    # One name for both: that is what lets the wall's path be `"$user"`.
    name = f"ks_o_{secrets.token_hex(_OPAQUE_BYTES)}"
    return Names(schema=name, role=name)


def stocks() -> list[Stock]:
    """What is ready, by fingerprint, the current one first. Call inside `public_schema()`."""
    current = schemas.fingerprint()
    rows = ReadySchema.objects.order_by().values("fingerprint").annotate(count=Count("id"), oldest_at=Min("created_at"))
    found = [Stock(is_current=row["fingerprint"] == current, **row) for row in rows]
    return sorted(found, key=lambda stock: (not stock.is_current, stock.oldest_at))


def missing(*, size: int | None = None) -> int:
    """How many schemas the pool lacks. Call inside `public_schema()`."""
    ready = ReadySchema.objects.filter(fingerprint=schemas.fingerprint()).count()
    return max(0, (settings.READY_SCHEMAS if size is None else size) - ready)


def add(*, size: int | None = None, clock: Clock = utc_now) -> bool:
    """Make one more schema ready. False when there are `size`, or another process is making one.

    Schema, role and row are one transaction: whatever dies leaves all of them or none.
    """
    schemas.require_owner_login()
    script, current = schemas.baked_script(), schemas.fingerprint()
    wanted = settings.READY_SCHEMAS if size is None else size
    with schemas.owner_connection() as raw, raw.transaction():
        locked = raw.execute("SELECT pg_try_advisory_xact_lock(%s)", [_FILL_LOCK]).fetchone()
        if not locked or not locked[0]:
            return False
        have = raw.execute(
            "SELECT count(*) >= %s FROM public.provisioning_readyschema WHERE fingerprint = %s", [wanted, current]
        ).fetchone()
        if have and have[0]:
            return False
        names = new_names()
        schemas.make(raw, script=script, schema=names.schema, role=names.role)
        raw.execute(
            "INSERT INTO public.provisioning_readyschema (id, created_at, schema_name, role_name, fingerprint)"
            " VALUES (%s, %s, %s, %s, %s)",
            [ids.uuid7(), clock(), names.schema, names.role, current],
        )
    return True


def drop_stale(*, size: int | None = None, clock: Clock = utc_now) -> bool:
    """Drop one schema of another release, an hour after it was made, with its role. False when there is none."""
    schemas.require_owner_login()
    wanted = settings.READY_SCHEMAS if size is None else size
    with schemas.owner_connection() as raw, raw.transaction():
        # Where no pool is wanted, no release fills one.
        values = {"current": schemas.fingerprint(), "all": wanted == 0, "before": clock() - _IN_USE}
        row = raw.execute(_STALE, values).fetchone()
        if row is None:
            return False
        row_id, schema, role = row
        raw.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(str(schema))))
        raw.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(str(role))))
        raw.execute("DELETE FROM public.provisioning_readyschema WHERE id = %s", [row_id])
    return True
