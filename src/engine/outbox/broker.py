"""dramatiq over Redis, tuned so that a killed worker costs seconds."""

from __future__ import annotations

from uuid import UUID

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import TimeLimit

from engine.outbox.options import ARCHIVES, QUEUES, Options

ACTOR = "outbox.handle"
# Of a million commands; each worker looks at its queues some ten times a second.
_MAINTENANCE_CHANCE = 20_000
_TIME_LIMIT_MS = 120_000
_LONG_TIME_LIMIT_MS = 6 * 3_600_000
_DEAD_MESSAGE_TTL_MS = 60_000


class OutboxBroker(RedisBroker):
    """A RedisBroker whose consumers look more often than once a second.

    It has no retries and keeps no dead letters worth reading: the outbox table does both.
    """

    def __init__(self, *, redis_url: str, options: Options) -> None:
        super().__init__(
            url=redis_url,
            namespace=options.namespace,
            heartbeat_timeout=options.worker_heartbeat_ms,
            maintenance_chance=_MAINTENANCE_CHANCE,
            dead_message_ttl=_DEAD_MESSAGE_TTL_MS,
            middleware=[TimeLimit(time_limit=_TIME_LIMIT_MS)],
        )
        self._poll_ms = options.worker_poll_ms

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> dramatiq.broker.Consumer:
        # The delay queues stay empty: a message that has to wait does so in the outbox.
        poll_ms = timeout if queue_name.endswith(".DQ") else min(timeout, self._poll_ms)
        return super().consume(queue_name, prefetch, poll_ms)

    def dispatch(self, message_id: UUID, *, queue: str) -> None:
        """Put a message's id on a queue. The id is all that Redis gets to know."""
        if queue not in QUEUES:
            raise ValueError(f"{queue} is not a queue")
        self.enqueue(
            dramatiq.Message(
                queue_name=queue,
                actor_name=ACTOR,
                args=(str(message_id),),
                kwargs={},
                # A backup, a restore and an export take as long as the organization is large.
                options={"time_limit": _LONG_TIME_LIMIT_MS} if queue == ARCHIVES else {},
            )
        )
