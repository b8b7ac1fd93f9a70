"""What the outbox tells Prometheus. The relay sets the gauges, the workers count."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from engine.outbox import claims
from engine.outbox.options import QUEUES

WAITING = Gauge("keystead_outbox_waiting", "Messages not yet done", ["queue"])
PARKED = Gauge("keystead_outbox_parked", "Messages that wait for a human", ["queue"])
LAG = Gauge("keystead_outbox_lag_seconds", "Age of the oldest message due and not sent", ["queue"])
DISPATCHED = Counter("keystead_outbox_dispatched", "Messages handed to a worker queue", ["queue"])
MESSAGES = Counter("keystead_outbox_messages", "Deliveries by their outcome", ["name", "outcome"])


def observe() -> list[claims.Depth]:
    """Read the outbox's depth and set the gauges; also returns what was read."""
    found = claims.depths()
    depths = {depth.queue: depth for depth in found}
    for queue in QUEUES:
        depth = depths.get(queue, claims.Depth(queue, 0, 0, 0.0))
        WAITING.labels(queue=queue).set(depth.waiting)
        PARKED.labels(queue=queue).set(depth.parked)
        LAG.labels(queue=queue).set(depth.lag_seconds)
    return found
