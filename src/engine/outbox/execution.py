"""Running one message's handler, in its organization's context. The worker's only way into a tenant."""

from __future__ import annotations

import enum
import logging
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from uuid import UUID

from django.db import transaction

from engine.clock import utc_now
from engine.inbox import services as inbox
from engine.outbox import claims, metrics, registry, rules
from engine.outbox.options import Options
from engine.tenancy import directory
from engine.tenancy.context import PLATFORM_ROLE, organization, public_schema

logger = logging.getLogger(__name__)

SUSPENDED_DELAY = timedelta(seconds=30)
SUSPENDED_REASON = "the organization is suspended"
INBOX_KEPT = timedelta(days=30)
"""Longer than any message waits: a parked one may be let go weeks later, with its effect committed."""

# Housekeeping in the organization's own context, by whoever works there: no sweep over all of them.
_PURGE_CHANCE = 0.005
_PURGE_BATCH = 1000


class Outcome(enum.StrEnum):
    """What became of one delivery of a message."""

    DONE = "done"
    DUPLICATE = "duplicate"
    ABSENT = "absent"
    POSTPONED = "postponed"
    FAILED = "failed"
    PARKED = "parked"


class UnknownOrganization(LookupError):
    """A message's role belongs to no organization."""


def execute(
    message_id: UUID,
    *,
    options: Options,
    holding: Callable[[claims.Started], AbstractContextManager[None]] | None = None,
    fraction: Callable[[], float] = random.random,
) -> Outcome:
    """Start a dispatched message, run its handler, and acknowledge it or give it back.

    Never raises for what the handler does; database errors of the outbox itself pass through, and the
    message comes back when its lease runs out.
    """
    started = claims.start(message_id, lease_seconds=options.lease_seconds)
    if started is None:
        return Outcome.ABSENT
    if started.message.attempt > options.max_attempts:
        # Earlier executions never came back: they took their worker with them, or ran out of time.
        claims.release(started, delay=timedelta(), error="the worker did not survive it", park=True)
        return Outcome.PARKED
    with holding(started) if holding else nullcontext():
        outcome = _attempt(started, options=options, fraction=fraction)
    metrics.MESSAGES.labels(name=started.message.name, outcome=outcome.value).inc()
    return outcome


def _attempt(started: claims.Started, *, options: Options, fraction: Callable[[], float]) -> Outcome:
    try:
        done = _handle(started)
    except registry.Postpone as postponed:
        claims.release(started, delay=postponed.delay, error=postponed.reason, forgive=True)
        return Outcome.POSTPONED
    except Exception as error:  # noqa: BLE001  # whatever a handler raises, the message must survive it
        return _give_back(started, error, options=options, fraction=fraction)
    claims.acknowledge(started.message.id)
    return Outcome.DONE if done else Outcome.DUPLICATE


def _handle(started: claims.Started) -> bool:
    """True when the handler ran, False when its effect had already committed."""
    handler = registry.find(started.message.name)
    if handler.coalesce:
        claims.absorb(started)
    with _context(started.org_role):
        if not handler.transactional:
            handler.function(message=started.message)
            return True
        with transaction.atomic():
            if not inbox.accept(message_id=started.message.id, name=started.message.name):
                return False
            handler.function(message=started.message)
        if random.random() < _PURGE_CHANCE:  # noqa: S311  # spreads housekeeping, decides nothing
            inbox.purge(before=utc_now() - INBOX_KEPT, limit=_PURGE_BATCH)
        return True


def _context(org_role: str) -> AbstractContextManager[object]:
    if org_role == PLATFORM_ROLE:
        return public_schema()
    found = directory.by_role(org_role)
    if found is None:
        raise UnknownOrganization(org_role)
    if found.status == "suspended":
        raise registry.Postpone(SUSPENDED_DELAY, SUSPENDED_REASON)
    return organization(found)


def _give_back(
    started: claims.Started,
    error: Exception,
    *,
    options: Options,
    fraction: Callable[[], float],
) -> Outcome:
    description = rules.describe_error(error)
    park = started.message.attempt >= options.max_attempts
    delay = rules.backoff(
        attempts=started.message.attempt,
        base_seconds=options.backoff_base_seconds,
        cap_seconds=options.backoff_cap_seconds,
        fraction=fraction(),
    )
    logger.log(
        logging.ERROR if park else logging.WARNING,
        "message %s (%s) failed at attempt %d%s: %s",
        started.message.id,
        started.message.name,
        started.message.attempt,
        ", parked" if park else "",
        description,
    )
    claims.release(started, delay=delay, error=description, park=park)
    return Outcome.PARKED if park else Outcome.FAILED
