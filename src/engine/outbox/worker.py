"""The worker: one dramatiq actor that runs any message. ``config.worker`` builds it at import."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

import dramatiq
from django.db import Error, close_old_connections
from dramatiq.middleware import Middleware

from engine.outbox import hints, options
from engine.outbox.broker import ACTOR, OutboxBroker
from engine.outbox.execution import execute
from engine.outbox.leases import LeaseKeeper

logger = logging.getLogger(__name__)


class _Leases(Middleware):
    """Starts the lease keeper with the worker. dramatiq forks before this, so the thread survives."""

    def __init__(self, lease_seconds: float) -> None:
        self.keeper = LeaseKeeper(lease_seconds=lease_seconds)

    def after_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        self.keeper.start()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        self.keeper.stop()


def build_broker(settings: Any) -> OutboxBroker:
    """The broker of a worker process, with the actor and every queue declared; also dramatiq's default.

    settings: Django's settings (``REDIS_URL`` and what ``engine.outbox.options`` reads).
    """
    loaded = options.load()
    broker = OutboxBroker(redis_url=settings.REDIS_URL, options=loaded)
    leases = _Leases(loaded.lease_seconds)
    broker.add_middleware(leases)
    dramatiq.set_broker(broker)

    @dramatiq.actor(actor_name=ACTOR, queue_name=options.QUEUES[0], broker=broker)
    def handle(message_id: str) -> None:
        close_old_connections()
        try:
            execute(UUID(message_id), options=loaded, holding=leases.keeper.holding)
        except Error as error:
            # The outbox itself could not be reached. The row is still there and will be sent again.
            logger.warning("message %s left for the sweep: %s", message_id, type(error).__name__)
        finally:
            close_old_connections()
        # A place under the organization's cap is free: the relay may have more for it.
        hints.publish()

    for queue in options.QUEUES:
        broker.declare_queue(queue)
    return broker
