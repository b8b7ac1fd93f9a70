"""What a restored copy has to hear before it opens, because a backup cannot know it.

The order matters: whoever was erased is gone before anything else is looked at, the logs go on behind their
gap before anything gets a number, and what is held is held before anything new is told.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from psycopg import sql

from engine import ids
from engine.principals import SYSTEM
from provisioning.backups import tables
from shared.accounts import services as accounts
from tenants.access import services as access
from tenants.audit import retention
from tenants.audit import services as audit
from tenants.checkouts import services as checkouts
from tenants.devices import services as devices
from tenants.events import services as events
from tenants.identity import services as identity
from tenants.payments import services as payments
from tenants.webhooks import services as webhooks

LOGS = ("events", "audit")
_ANSWERS = "idempotency_key"


def settle(*, flow_id: UUID, backup_id: UUID, ends: dict[str, int]) -> None:
    """Make a copy safe to open. In its context. Every part may run twice.

    `ends` are the last numbers that the sealed logs may have given since.
    """
    identity.replay_erasures()
    flow, backup = ids.encode("flow", flow_id), ids.encode("bkp", backup_id)
    with transaction.atomic():
        if not events.tells_of_restore(flow=flow):
            restored = events.resume_restored(at=ends["events"], backup=backup, flow=flow)
            audit.resume_restored(at=ends["audit"], backup=backup, flow=flow)
            # What was pending at the backup gets numbers of its own, and is told to nobody who has heard it.
            events.seal()
            audit.seal()
            webhooks.hold_pending()
            webhooks.fan_out([restored])
            devices.expire_pending()
            accounts.sign_everybody_out()
            access.revoke_all_authorizations()
            retention.resume()
    checkouts.settle_restored()
    payments.settle_restored()


def replay_erasures() -> None:
    """Erase again everyone whom the journal names, with what they paid with. In the copy's context."""
    for person_id in identity.replay_erasures():
        payments.forget_person(person_id=person_id, by=SYSTEM)


def probe_freshness() -> timedelta:
    """How long after the closing a terminal may still hold a probe that counts. In the copy's context."""
    return checkouts.probe_freshness()


def carry_answers(*, old_schema: str, schema: str) -> None:
    """Take over the answers to requests that came after the backup, so that a repeat is still recognised.

    Needs the schema that goes out of use, in the structure of this release; else there is nothing to take.
    """
    names = {"old": sql.Identifier(old_schema, _ANSWERS), "new": sql.Identifier(schema, _ANSWERS)}
    with tables.reading() as raw:
        found = raw.execute(
            "SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a"
            " WHERE a.attrelid IN (%s::regclass, %s::regclass) AND a.attnum > 0 AND NOT a.attisdropped"
            " GROUP BY a.attrelid",
            [f"{old_schema}.{_ANSWERS}", f"{schema}.{_ANSWERS}"],
        ).fetchall()
        if len({tuple(columns) for (columns,) in found}) != 1:
            return
        columns = sql.SQL(", ").join(sql.Identifier(name) for name in found[0][0])
        raw.execute(sql.SQL("DELETE FROM {new} USING {old} o WHERE {new}.id = o.id").format(**names))
        raw.execute(
            sql.SQL("INSERT INTO {new} ({columns}) SELECT {columns} FROM {old} ON CONFLICT DO NOTHING").format(
                columns=columns, **names
            )
        )
