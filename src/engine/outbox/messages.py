"""Writing to the outbox: one INSERT in the act's transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from engine import ids
from engine.outbox import hints, registry

# An ORM insert wants RETURNING, which wants SELECT, which no organization's role has here. The role is
# taken from the session itself; the row-level policy refuses any other value all the same.
_INSERT = """
    INSERT INTO public.outbox_message (id, org_role, name, queue, payload, available_at)
    VALUES (%s, current_user, %s, %s, %s::jsonb, coalesce(%s, statement_timestamp()))
"""


class OutsideTransaction(RuntimeError):
    """A message was sent outside a transaction: it could not commit together with its act."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a handler is given. ``attempt`` is 1 for the first execution."""

    id: UUID
    name: str
    payload: Mapping[str, str]
    created_at: datetime
    attempt: int


def send(*, name: str, payload: Mapping[str, str], available_at: datetime | None = None) -> UUID:
    """Write a message that will be handled after the surrounding transaction has committed.

    ``payload`` holds ids and other short words, never personal data or secrets; ``available_at`` (aware)
    delays the handling. At least once, in no promised order. Returns the message's id.

    Raises OutsideTransaction without an open transaction, UnknownMessage for a name without a handler.
    """
    if not connection.in_atomic_block:
        raise OutsideTransaction(f"{name} must be sent inside the transaction of its act")
    queue = registry.find(name).queue
    if not all(isinstance(value, str) for pair in payload.items() for value in pair):
        raise TypeError(f"the payload of {name} must map words to words")
    message_id = ids.uuid7()
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [message_id, name, queue, json.dumps(dict(payload)), available_at])
    # One hint is enough for a transaction: it wakes the relay, which looks for itself.
    if not any(entry[1] is hints.publish for entry in connection.run_on_commit):
        transaction.on_commit(hints.publish, robust=True)
    return message_id
