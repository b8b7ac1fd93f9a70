"""Rate limits by organization and principal, counted in Redis.

The algorithm is the generic cell rate algorithm: one timestamp for each caller, a burst of the whole
limit, and a steady refill. Without Redis requests pass: limits protect the service, and are no wall.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, cast

import redis
import structlog
from django.conf import settings
from django.http import HttpRequest
from rest_framework.throttling import BaseThrottle

from engine.principals import Principal
from engine.tenancy.context import key_prefix

log = structlog.get_logger("keystead.api")

# Times in microseconds of the Redis server, so that the clocks of our processes do not matter.
_SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval = tonumber(ARGV[1])
local burst = tonumber(ARGV[2]) * interval
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local following = arrival + interval
if following - burst > now then
  return {0, 0, following - burst - now, arrival - now}
end
redis.call('SET', KEYS[1], string.format('%.0f', following), 'PX', math.ceil((following - now) / 1000))
return {1, math.floor((burst - (following - now)) / interval), 0, following - now}
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``limit`` requests in ``seconds``, in a burst or spread out."""

    limit: int
    seconds: int
    name: str = "default"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request passes, how many more would, and the seconds to wait and to a full refill."""

    allowed: bool
    remaining: int
    retry_after: float
    reset_after: float


AUTHENTICATED_RATE = Rate(limit=6000, seconds=60)
ANONYMOUS_RATE = Rate(limit=600, seconds=60, name="anonymous")

OrganizationRate = Callable[[], Rate | None]
_organization_rate: OrganizationRate | None = None


def set_organization_rate(source: OrganizationRate | None) -> OrganizationRate | None:
    """Install the function that knows the rate of the present organization's plan.

    It is called on each request of a principal, and answers None where there is no limit. Returns
    the one that was there before.
    """
    global _organization_rate
    previous, _organization_rate = _organization_rate, source
    return previous


@lru_cache(maxsize=1)
def _redis(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=0.25, socket_connect_timeout=0.25)


def spend(*, key: str, rate: Rate) -> Verdict:
    """Count one request against ``rate`` under ``key`` (prefixed with the tenant here)."""
    limit = max(1, rate.limit)
    interval = max(1, rate.seconds * 1_000_000 // limit)
    client = _redis(settings.REDIS_URL)
    name = f"{key_prefix()}rate:{rate.name}:{key}"
    try:
        answer = cast(list[int], client.eval(_SCRIPT, 1, name, str(interval), str(limit)))
    except redis.RedisError as exc:
        log.warning("api.rate_limit_unavailable", error=type(exc).__name__)
        return Verdict(allowed=True, remaining=rate.limit, retry_after=0.0, reset_after=0.0)
    allowed, remaining, retry, reset = answer
    return Verdict(bool(allowed), int(remaining), retry / 1_000_000, reset / 1_000_000)


class PrincipalThrottle(BaseThrottle):
    """DRF's throttle of every view: each caller has a rate, and the organization has its plan's.

    A view may set ``rate`` to a `Rate` of its own, counted under the rate's name for each caller.
    """

    verdict: Verdict | None = None

    def allow_request(self, request: Any, view: Any) -> bool:
        """Count the request; leave the figures on it for the response headers."""
        principal = getattr(request.user, "principal", None)
        own: Rate | None = getattr(view, "rate", None)
        shared = None
        if isinstance(principal, Principal):
            rate, key = own or AUTHENTICATED_RATE, f"{principal.kind}:{principal.id}"
            shared = _organization_rate() if _organization_rate else None
        else:
            rate, key = own or ANONYMOUS_RATE, "address:" + _hashed(client_address(request))
        verdict = spend(key=key, rate=rate)
        if shared is not None and verdict.allowed:
            whole = spend(key="all", rate=shared)
            # What is nearer to its end is what the caller has to know.
            if whole.remaining < verdict.remaining:
                rate, verdict = shared, whole
        self.verdict = verdict
        request._request.rate_limit = (rate, verdict)
        return verdict.allowed

    def wait(self) -> float | None:
        """Seconds until a request would pass."""
        return None if self.verdict is None else math.ceil(self.verdict.retry_after) or 1


def headers(request: HttpRequest) -> dict[str, str]:
    """``RateLimit`` and ``RateLimit-Policy`` of draft-ietf-httpapi-ratelimit-headers-10."""
    found: tuple[Rate, Verdict] | None = getattr(request, "rate_limit", None)
    if found is None:
        return {}
    rate, verdict = found
    return {
        "RateLimit-Policy": f'"{rate.name}";q={rate.limit};w={rate.seconds}',
        "RateLimit": f'"{rate.name}";r={verdict.remaining};t={math.ceil(verdict.reset_after)}',
    }


def client_address(request: Any) -> str:
    """The address of the caller.

    That is the peer, unless the peer is a proxy of settings.TRUSTED_PROXIES: then the last address of
    X-Forwarded-For that is none of them. What stands further left a caller may have made up.
    """
    peer = str(request.META.get("REMOTE_ADDR", ""))
    address = peer
    hops = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")
    while _is_trusted(address) and hops:
        hop = hops.pop().strip()
        try:
            address = str(ip_address(hop))
        except ValueError:
            return address
    return address


def _is_trusted(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in settings.TRUSTED_PROXIES)


def _hashed(text: str) -> str:
    # Addresses are personal data; the counter needs only something equal for equals.
    return hashlib.sha256(text.encode()).hexdigest()[:24]
