"""What all processes know of a provider account together, in Redis: is it broken, is it busy?

Each account has one key per question, so that the scripts work on a cluster. Redis may lose everything or be
away: then calls are allowed, because refusing every payment would be worse than calling a sick provider.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import RedisError

_log = structlog.get_logger(__name__)

# State of a breaker: failures, since (start of the window), open_until, probe_until; times in milliseconds.
_ALLOW = """
local now = redis.call('TIME'); now = now[1] * 1000 + math.floor(now[2] / 1000)
local s = redis.call('HMGET', KEYS[1], 'open_until', 'probe_until')
local open_until, probe_until = tonumber(s[1] or 0), tonumber(s[2] or 0)
if open_until == 0 then return 1 end
if now < open_until or now < probe_until then return 0 end
redis.call('HSET', KEYS[1], 'probe_until', now + tonumber(ARGV[1]))
return 1
"""
_FAIL = """
local now = redis.call('TIME'); now = now[1] * 1000 + math.floor(now[2] / 1000)
local threshold, window, cooldown = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local s = redis.call('HMGET', KEYS[1], 'failures', 'since', 'open_until')
local failures, since, open_until = tonumber(s[1] or 0), tonumber(s[2] or 0), tonumber(s[3] or 0)
if now - since > window then failures, since = 0, now end
failures = failures + 1
local opened = 0
if open_until > 0 or failures >= threshold then
  if now >= open_until then opened = 1 end
  open_until = now + cooldown
end
redis.call('HSET', KEYS[1], 'failures', failures, 'since', since, 'open_until', open_until, 'probe_until', 0)
redis.call('PEXPIRE', KEYS[1], math.max(window, cooldown) * 4)
return opened
"""
_ACQUIRE = """
local now = redis.call('TIME'); now = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[3])
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[2]) * 2)
return 1
"""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Open after ``threshold`` failures within ``window_ms``; let one call probe after ``cooldown_ms``."""

    threshold: int = 10
    window_ms: int = 30_000
    cooldown_ms: int = 10_000
    probe_ms: int = 30_000


class Breaker:
    """Stops calling a provider account that keeps failing."""

    def __init__(self, redis: Redis, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._redis = redis
        self._allow = redis.register_script(_ALLOW)
        self._fail = redis.register_script(_FAIL)

    def allows(self, key: str) -> bool:
        """Whether a call may be made now. After the cooldown one caller is let through to find out."""
        return _answer(self._allow, key, [self._policy.probe_ms], default=1) == 1

    def failed(self, key: str) -> bool:
        """Count a failure; True when it opened the breaker."""
        policy = self._policy
        return _answer(self._fail, key, [policy.threshold, policy.window_ms, policy.cooldown_ms], default=0) == 1

    def worked(self, key: str) -> None:
        """The provider answered: forget its failures."""
        try:
            self._redis.delete(key)
        except RedisError as error:
            _log.warning("calls.redis_unavailable", error=type(error).__name__)


class Slots:
    """At most so many calls of one provider account at a time, over all processes."""

    def __init__(self, redis: Redis, *, size: int, lease_ms: int) -> None:
        self._redis = redis
        self._size = size
        self._lease_ms = lease_ms
        self._acquire = redis.register_script(_ACQUIRE)

    @contextmanager
    def held(self, key: str) -> Iterator[bool]:
        """Yields whether a slot was free. A slot of a process that died is free after its lease."""
        token = secrets.token_hex(8)
        granted = _answer(self._acquire, key, [self._size, self._lease_ms, token], default=1) == 1
        try:
            yield granted
        finally:
            if granted:
                try:
                    self._redis.zrem(key, token)
                except RedisError as error:
                    _log.warning("calls.redis_unavailable", error=type(error).__name__)


def _answer(script: Any, key: str, arguments: list[Any], *, default: int) -> int:
    try:
        return int(script(keys=[key], args=arguments))
    except RedisError as error:
        _log.warning("calls.redis_unavailable", error=type(error).__name__)
        return default
