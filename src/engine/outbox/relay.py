"""The relay: sweeps the outbox and hands due messages to the workers' queues.

The sweep is the truth; a Redis hint only makes it look sooner. Several relays may run.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field

import redis
from django.conf import settings
from django.db import Error, close_old_connections

from engine.outbox import claims, metrics, options
from engine.outbox.broker import OutboxBroker
from engine.outbox.hints import Listener
from engine.outbox.options import Options
from engine.tenancy import directory
from engine.tenancy.context import PLATFORM_ROLE

logger = logging.getLogger(__name__)

_TROUBLE_SECONDS = 1.0
_OBSERVE_SECONDS = 10.0
_BREATH_SECONDS = 0.01


@dataclass(slots=True)
class Relay:
    """One relay. ``sweep`` is one look; ``run`` looks until it is stopped."""

    broker: OutboxBroker
    options: Options
    _held: dict[str, float] = field(default_factory=dict)

    def sweep(self) -> int:
        """Claim due messages and send them; returns how many were sent.

        Messages of a suspended organization stay, and its role is left alone for a while. When Redis
        does not answer, the claim is taken back and the messages stay due.
        """
        now = time.monotonic()
        self._held = {role: until for role, until in self._held.items() if until > now}
        claimed = claims.claim(
            batch=self.options.batch,
            visibility_seconds=self.options.visibility_seconds,
            organization_cap=self.options.organization_cap,
            in_flight_cap=self.options.in_flight_cap,
            held=self._held,
        )
        return self._send(self._without_suspended(claimed))

    def _without_suspended(self, claimed: list[claims.Claim]) -> list[claims.Claim]:
        by_role: defaultdict[str, list[claims.Claim]] = defaultdict(list)
        for each in claimed:
            by_role[each.org_role].append(each)
        kept: list[claims.Claim] = []
        for role, theirs in by_role.items():
            found = None if role == PLATFORM_ROLE else directory.by_role(role)
            if found is not None and found.status == "suspended":
                self._held[role] = time.monotonic() + self.options.hold_seconds
                claims.unsend([each.id for each in theirs], delay_seconds=0)
            else:
                kept.extend(theirs)
        return kept

    def _send(self, claimed: list[claims.Claim]) -> int:
        for sent, each in enumerate(claimed):
            try:
                self.broker.dispatch(each.id, queue=each.queue)
            except (redis.RedisError, OSError):
                unsent = [late.id for late in claimed[sent:]]
                claims.unsend(unsent, delay_seconds=_TROUBLE_SECONDS)
                raise
            metrics.DISPATCHED.labels(queue=each.queue).inc()
        return len(claimed)

    def run(self, stop: threading.Event) -> None:
        """Sweep until ``stop`` is set. Trouble with PostgreSQL or Redis is logged and waited out."""
        listener = Listener(settings.REDIS_URL)
        observed = 0.0
        while not stop.is_set():
            try:
                close_old_connections()
                began = time.monotonic()
                sent = self.sweep()
                took = time.monotonic() - began
                if time.monotonic() - observed > _OBSERVE_SECONDS:
                    metrics.observe()
                    observed = time.monotonic()
            except (Error, redis.RedisError, OSError) as error:
                logger.warning("relay waits: %s", type(error).__name__)
                stop.wait(_TROUBLE_SECONDS)
                continue
            if sent == 0:
                listener.wait(self.options.sweep_seconds)
                # A hint per request must not become a sweep per request: half of the time at most.
                stop.wait(max(_BREATH_SECONDS, took))
        listener.close()


def run(*, stop: threading.Event | None = None) -> None:
    """Run a relay in this thread until ``stop`` is set, or until SIGTERM or SIGINT without one."""
    loaded = options.load()
    if stop is None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    Relay(OutboxBroker(redis_url=settings.REDIS_URL, options=loaded), loaded).run(stop)
