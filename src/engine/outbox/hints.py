"""The hint that something waits in the outbox. Best effort: a lost hint costs half a second, no more."""

from __future__ import annotations

import logging
import threading
import time

import redis
from django.conf import settings

from engine.outbox import options

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 0.25
SILENCE_SECONDS = 2.0

_lock = threading.Lock()
_client: redis.Redis | None = None
_quiet_until = 0.0


def channel() -> str:
    """The Redis channel of this platform's hints."""
    return f"{options.load().namespace}:hint"


def publish() -> None:
    """Wake the relays. Never raises and never holds a request up: after a failure it stays silent for
    a moment instead of waiting for a dead Redis once per request."""
    global _client, _quiet_until
    if time.monotonic() < _quiet_until:
        return
    try:
        with _lock:
            if _client is None:
                _client = redis.Redis.from_url(
                    settings.REDIS_URL,
                    socket_timeout=TIMEOUT_SECONDS,
                    socket_connect_timeout=TIMEOUT_SECONDS,
                    retry=None,
                )
        _client.publish(channel(), b"1")
    except (redis.RedisError, OSError) as error:
        _quiet_until = time.monotonic() + SILENCE_SECONDS
        logger.warning("outbox hint not sent: %s", type(error).__name__)


class Listener:
    """The relay's ear: waits for a hint, or for as long as it is told."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pubsub: redis.client.PubSub | None = None

    def wait(self, seconds: float) -> bool:
        """True as soon as a hint has come, False after ``seconds`` without one or without a Redis."""
        started = time.monotonic()
        try:
            if self._pubsub is None:
                client = redis.Redis.from_url(self._url, socket_connect_timeout=1.0, retry=None)
                self._pubsub = client.pubsub(ignore_subscribe_messages=True)
                self._pubsub.subscribe(channel())
            woken = self._next(seconds) is not None
            while self._next(0) is not None:
                pass  # many hints, one sweep
            return woken
        except (redis.RedisError, OSError):
            self.close()
            time.sleep(max(0.0, seconds - (time.monotonic() - started)))
            return False

    def _next(self, seconds: float) -> object | None:
        assert self._pubsub is not None
        return self._pubsub.get_message(timeout=seconds)

    def close(self) -> None:
        """Let the connection go; the next ``wait`` makes another."""
        if self._pubsub is not None:
            try:
                self._pubsub.close()
            except (redis.RedisError, OSError):
                logger.debug("the hint connection was already gone")
            self._pubsub = None
