"""Every statement that reads or changes the outbox after a message was sent, as ``ks_relay``.

A message's life in columns: waiting (``dispatched_at`` null, due at ``available_at``), dispatched (in
Redis; sent again after ``available_at``), started (a worker holds it under a lease that ends at
``available_at``), gone. Parked messages wait for a human. All moments are PostgreSQL's, so no two
machines have to agree about the time.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from engine.outbox.messages import Message
from engine.tenancy.context import relay_schema

# One relay claims at a time: two that count an organization's messages at once would exceed its cap.
_CLAIM_LOCK = 0x6B735F6F7574626F

_BEFORE_ALL = UUID(int=0)

_CLAIM = """
    WITH RECURSIVE lanes AS (
        (SELECT org_role, queue FROM public.outbox_message WHERE parked_at IS NULL
         ORDER BY org_role, queue LIMIT 1)
        UNION ALL
        SELECT following.org_role, following.queue FROM lanes, LATERAL (
            SELECT m.org_role, m.queue FROM public.outbox_message m
            WHERE m.parked_at IS NULL AND (m.org_role, m.queue) > (lanes.org_role, lanes.queue)
            ORDER BY m.org_role, m.queue LIMIT 1
        ) following
    ), busy AS (
        SELECT org_role, queue, count(*) AS messages FROM public.outbox_message
        WHERE dispatched_at IS NOT NULL AND available_at > statement_timestamp() GROUP BY org_role, queue
    ), due AS (
        SELECT m.id FROM lanes
        LEFT JOIN busy USING (org_role, queue)
        CROSS JOIN LATERAL (
            SELECT id, available_at FROM public.outbox_message
            WHERE parked_at IS NULL AND available_at <= statement_timestamp()
                AND org_role = lanes.org_role AND queue = lanes.queue
            ORDER BY available_at
            LIMIT greatest(%(organization_cap)s - coalesce(busy.messages, 0), 0)
            FOR UPDATE SKIP LOCKED
        ) m
        WHERE lanes.org_role <> ALL(%(held)s::text[])
        ORDER BY m.available_at
        LIMIT least(%(batch)s, greatest(%(in_flight_cap)s - (SELECT coalesce(sum(messages), 0) FROM busy), 0))
    )
    UPDATE public.outbox_message m
    SET dispatched_at = statement_timestamp(), started_at = NULL, available_at = statement_timestamp() + %(visibility)s
    FROM due WHERE m.id = due.id
    RETURNING m.id, m.org_role, m.queue
"""
_START = """
    UPDATE public.outbox_message
    SET started_at = statement_timestamp(), attempts = attempts + 1,
        available_at = statement_timestamp() + %(lease)s
    WHERE id = %(id)s AND parked_at IS NULL AND dispatched_at IS NOT NULL
        AND (started_at IS NULL OR available_at <= statement_timestamp())
    RETURNING id, org_role, name, queue, payload::text, created_at, attempts, started_at
"""
_RENEW = """
    UPDATE public.outbox_message SET available_at = statement_timestamp() + %(lease)s
    WHERE id = ANY(%(ids)s) AND started_at = ANY(%(started)s)
"""
_RELEASE = """
    UPDATE public.outbox_message
    SET dispatched_at = NULL, started_at = NULL, available_at = statement_timestamp() + %(delay)s,
        attempts = CASE WHEN %(forgiven)s THEN 0 ELSE attempts END, last_error = %(error)s,
        parked_at = CASE WHEN %(park)s THEN statement_timestamp() END
    WHERE id = %(id)s AND started_at = %(started)s
"""
_UNSEND = """
    UPDATE public.outbox_message SET dispatched_at = NULL, available_at = statement_timestamp() + %(delay)s
    WHERE id = ANY(%(ids)s) AND started_at IS NULL
"""
_ABSORB = """
    DELETE FROM public.outbox_message
    WHERE org_role = %(org_role)s AND queue = %(queue)s AND name = %(name)s AND id <> %(id)s
        AND started_at IS NULL AND parked_at IS NULL
        AND (dispatched_at IS NOT NULL OR available_at <= statement_timestamp())
"""
_UNPARK = """
    UPDATE public.outbox_message SET parked_at = NULL, attempts = 0, available_at = statement_timestamp()
    WHERE parked_at IS NOT NULL AND (%(id)s::uuid IS NULL OR id = %(id)s::uuid)
"""
_HURRY = """
    UPDATE public.outbox_message SET available_at = statement_timestamp()
    WHERE org_role = %(org_role)s AND dispatched_at IS NULL AND parked_at IS NULL AND last_error = %(held)s
"""
_BEGIN_ANEW = """
    UPDATE public.outbox_message
    SET dispatched_at = NULL, started_at = NULL, parked_at = NULL, attempts = 0, available_at = statement_timestamp()
    WHERE org_role = %(org_role)s AND attempts > 0
"""
_PARKED = """
    SELECT id, org_role, name, attempts, last_error, parked_at FROM public.outbox_message
    WHERE parked_at IS NOT NULL AND id > %(after)s ORDER BY id LIMIT %(limit)s
"""
_DEPTH = """
    SELECT queue,
        count(*) FILTER (WHERE parked_at IS NULL),
        count(*) FILTER (WHERE parked_at IS NOT NULL),
        coalesce(extract(epoch FROM statement_timestamp() - min(available_at) FILTER (
            WHERE parked_at IS NULL AND dispatched_at IS NULL AND available_at <= statement_timestamp())), 0)
    FROM public.outbox_message GROUP BY queue
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that this relay may send now."""

    id: UUID
    org_role: str
    queue: str


@dataclass(frozen=True, slots=True)
class Started:
    """A message that this worker holds. ``started_at`` is the proof: whoever starts it next has another."""

    org_role: str
    queue: str
    started_at: datetime
    message: Message


@dataclass(frozen=True, slots=True)
class Parked:
    """A message that failed too often; ``last_error`` names the error's class and place."""

    id: UUID
    org_role: str
    name: str
    attempts: int
    last_error: str
    parked_at: datetime


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits in one queue. ``lag_seconds`` is the age of the oldest message due and not yet sent."""

    queue: str
    waiting: int
    parked: int
    lag_seconds: float


def _run(statement: str, parameters: Mapping[str, Any]) -> tuple[int, list[tuple[Any, ...]]]:
    with relay_schema(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.rowcount, cursor.fetchall() if cursor.description else []


def claim(
    *,
    batch: int,
    visibility_seconds: float,
    organization_cap: int,
    in_flight_cap: int,
    held: Collection[str] = (),
) -> list[Claim]:
    """Take due messages for sending, fairly: each organization and queue has at most
    ``organization_cap`` on the way, so a flood waits behind nobody but itself.

    ``held`` names roles to leave alone. Empty also while another relay is claiming.
    """
    parameters: dict[str, Any] = {
        "batch": batch,
        "visibility": timedelta(seconds=visibility_seconds),
        "organization_cap": organization_cap,
        "in_flight_cap": in_flight_cap,
        "held": list(held),
    }
    with relay_schema(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_CLAIM_LOCK])
        if not cursor.fetchall()[0][0]:
            return []
        cursor.execute(_CLAIM, parameters)
        return [Claim(*row) for row in cursor.fetchall()]


def start(message_id: UUID, *, lease_seconds: float) -> Started | None:
    """Hold a dispatched message; None when it is done, held by another worker, or not due."""
    lease = timedelta(seconds=lease_seconds)
    _, rows = _run(_START, {"id": message_id, "lease": lease})
    if not rows:
        return None
    identity, org_role, name, queue, payload, created_at, attempt, started_at = rows[0]
    message = Message(identity, name, json.loads(payload), created_at, attempt)
    return Started(org_role, queue, started_at, message)


def renew(held: Mapping[UUID, datetime], *, lease_seconds: float) -> None:
    """Keep the leases of the messages that this process is working on."""
    _run(
        _RENEW,
        {
            "ids": list(held),
            "started": list(held.values()),
            "lease": timedelta(seconds=lease_seconds),
        },
    )


def acknowledge(message_id: UUID) -> None:
    """Remove a message whose effect has committed."""
    _run("DELETE FROM public.outbox_message WHERE id = %(id)s", {"id": message_id})


def absorb(started: Started) -> int:
    """Remove the other waiting messages that ``started`` stands for: their acts have committed, so the
    handler, which has not begun yet, will see them. Returns how many."""
    count, _ = _run(
        _ABSORB,
        {
            "org_role": started.org_role,
            "queue": started.queue,
            "name": started.message.name,
            "id": started.message.id,
        },
    )
    return count


def release(started: Started, *, delay: timedelta, error: str, park: bool = False, forgive: bool = False) -> None:
    """Give a message back, to be due after ``delay``. ``forgive`` does not count the attempt."""
    _run(
        _RELEASE,
        {
            "id": started.message.id,
            "started": started.started_at,
            "delay": delay,
            "error": error,
            "park": park,
            "forgiven": forgive,
        },
    )


def unsend(message_ids: Collection[UUID], *, delay_seconds: float) -> None:
    """Take back a claim whose messages could not be sent or must wait."""
    delay = timedelta(seconds=delay_seconds)
    _run(_UNSEND, {"ids": list(message_ids), "delay": delay})


def parked(*, after: UUID = _BEFORE_ALL, limit: int = 100) -> list[Parked]:
    """The messages that wait for a human, oldest first, in pages by id."""
    _, rows = _run(_PARKED, {"after": after, "limit": limit})
    return [Parked(*row) for row in rows]


def unpark(message_id: UUID | None = None) -> int:
    """Let one parked message, or all of them, try again from the first attempt. Returns how many."""
    count, _ = _run(_UNPARK, {"id": message_id})
    return count


def hurry(*, org_role: str, held: str) -> int:
    """Make due what was postponed with the reason ``held``. Returns how many messages that were."""
    count, _ = _run(_HURRY, {"org_role": org_role, "held": held})
    return count


def begin_anew(*, org_role: str) -> int:
    """Let every message of a role that nobody knew until now start from its first attempt. Returns how many."""
    count, _ = _run(_BEGIN_ANEW, {"org_role": org_role})
    return count


def discard(*, org_role: str) -> int:
    """Remove every message of a role that is about to go, with its organization. Returns how many."""
    count, _ = _run("DELETE FROM public.outbox_message WHERE org_role = %(org_role)s", {"org_role": org_role})
    return count


def depths() -> list[Depth]:
    """What waits, per queue."""
    _, rows = _run(_DEPTH, {})
    return [Depth(queue, waiting, stuck, float(lag)) for queue, waiting, stuck, lag in rows]


def last_error(message_id: UUID) -> str:
    """What a message's last failed execution left behind; empty when there is none."""
    _, rows = _run("SELECT last_error FROM public.outbox_message WHERE id = %(id)s", {"id": message_id})
    return str(rows[0][0]) if rows else ""
