"""The outbox's numbers, in one place, with the reason for each default."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

PROVISIONING = "provisioning"
ARCHIVES = "archives"
"""What takes as long as an organization is large: behind it, nothing short may wait."""
QUEUES = ("default", "payments", "webhooks", PROVISIONING, ARCHIVES)


@dataclass(frozen=True, slots=True)
class Options:
    """Two come from the environment; a Django setting ``OUTBOX`` (a dict) may override any of them."""

    visibility_seconds: float = 15.0
    """How long a message may wait in Redis before the sweep sends it again."""

    lease_seconds: float = 6.0
    """How long a message that has started counts as alive without a renewal; the worker renews every
    third of it, so a killed worker's message is free again after at most this."""

    max_attempts: int = 30
    """Started executions after which a message is parked for a human: with the backoff, some five
    hours, which outlasts most outages of what a handler needs."""

    backoff_base_seconds: float = 0.5
    backoff_cap_seconds: float = 900.0

    organization_cap: int = 4
    """Messages of one organization and queue that may be sent and not yet done, over all workers.
    Fewer than there are worker threads, or one organization's slow messages could hold them all."""

    in_flight_cap: int = 1000
    """The same over all organizations: more would only wait in Redis and be sent twice."""

    batch: int = 100
    sweep_seconds: float = 0.5
    """How often the relay looks when no hint wakes it."""

    hold_seconds: float = 30.0
    """How long the relay leaves a suspended organization's messages alone before it looks again."""

    worker_heartbeat_ms: int = 4000
    """Silence after which dramatiq gives a worker's prefetched messages to another (default: 60 s)."""

    worker_poll_ms: int = 50
    """The longest a worker waits between two looks at an idle queue (dramatiq's default: 1 s)."""

    namespace: str = "keystead-outbox"
    """Prefix of dramatiq's keys and of the hint channel, so that several platforms can share a Redis."""


def load() -> Options:
    """The options of this process."""
    return Options(
        **{
            "visibility_seconds": settings.OUTBOX_VISIBILITY_TIMEOUT_MS / 1000,
            "organization_cap": settings.ORGANIZATION_CONCURRENCY,
            **getattr(settings, "OUTBOX", {}),
        }
    )
