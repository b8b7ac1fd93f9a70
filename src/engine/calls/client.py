"""The one HTTP client for providers."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2
import stamina
import structlog
from django.conf import settings
from django.db import connections
from prometheus_client import Counter, Histogram
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.calls.outcomes import NotSent, Outcome, Reply, Throttled, Unknown, classify, combined
from engine.calls.shared_state import Breaker, BreakerPolicy, Slots
from engine.tenancy.context import key_prefix

_log = structlog.get_logger(__name__)

_CALLS = Counter("keystead_provider_calls_total", "Requests to providers", ["provider", "operation", "outcome"])
_SECONDS = Histogram("keystead_provider_call_seconds", "Time of one request", ["provider", "operation"])
_OPENED = Counter("keystead_provider_breaker_opened_total", "Breakers that opened", ["provider"])


class CallInTransaction(RuntimeError):
    """A provider was called inside an open transaction, which would hold its locks while we wait."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits of one call. Times are seconds; ``total_s`` bounds when the last try may begin."""

    connect_s: float = 3.0
    read_s: float = 10.0
    tries: int = 3
    total_s: float = 12.0
    wait_initial_s: float = 0.1
    wait_max_s: float = 2.0
    slots: int = 32
    response_bytes_max: int = 1_048_576
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)

    @property
    def longest_s(self) -> float:
        """No call takes longer than this: what a lease around it has to outlast."""
        return self.total_s + self.wait_max_s + self.connect_s + 2 * self.read_s


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """One request. ``account`` and ``operation`` name it in logs and metrics; headers and body never appear there.

    ``repeatable`` may be set only where the provider documents that a repeat has no second effect: a GET, or a
    POST with an idempotency key inside the key's lifetime.
    """

    provider: str
    account: str
    operation: str
    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(default=b"", repr=False)
    repeatable: bool = False


class _Again(Exception):
    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class ProviderClient:
    """Sends requests and says what became of them. Safe to share between threads."""

    def __init__(
        self, redis: Redis, policy: Policy | None = None, *, transport: httpx2.BaseTransport | None = None
    ) -> None:
        self.policy = policy or Policy()
        self._breaker = Breaker(redis, self.policy.breaker)
        self._slots = Slots(redis, size=self.policy.slots, lease_ms=int(self.policy.longest_s * 1000))
        timeout = httpx2.Timeout(self.policy.read_s, connect=self.policy.connect_s, pool=self.policy.connect_s)
        # One client serves all organizations: what a provider sets for one must not reach another's request.
        no_cookies = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
        self._http = httpx2.Client(timeout=timeout, follow_redirects=False, cookies=no_cookies, transport=transport)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, request: ProviderRequest) -> Outcome:
        """Send ``request``, again with jitter where that is proven safe, and say what became of it.

        Safe is: nothing was sent, the provider asked us to slow down, or the request is repeatable. Never raises
        for what the network or the provider does. Raises CallInTransaction.
        """
        refuse_open_transaction()
        unknown: Unknown | None = None
        policy = self.policy
        try:
            for attempt in stamina.retry_context(
                on=_pause,
                attempts=policy.tries,
                timeout=policy.total_s,
                wait_initial=policy.wait_initial_s,
                wait_max=policy.wait_max_s,
                wait_jitter=policy.wait_initial_s,
            ):
                with attempt:
                    outcome = self._once(request)
                    if isinstance(outcome, Unknown):
                        unknown = outcome
                    if _worth_repeating(outcome, request, policy):
                        raise _Again(outcome)
                    return combined(outcome, unknown=unknown)
        except _Again as last:
            return combined(last.outcome, unknown=unknown)
        raise AssertionError("stamina ends with a result or an exception")

    def _once(self, request: ProviderRequest) -> Outcome:
        key = f"{key_prefix()}calls:{request.provider}:{request.account}"
        started = time.monotonic()
        if not self._breaker.allows(f"{key}:breaker"):
            outcome: Outcome = NotSent("breaker_open")
        else:
            with self._slots.held(f"{key}:slots") as free:
                outcome = self._exchange(request) if free else NotSent("busy")
            self._judge(request, f"{key}:breaker", outcome)
        self._report(request, outcome, time.monotonic() - started)
        return outcome

    def _exchange(self, request: ProviderRequest) -> Outcome:
        deadline = time.monotonic() + 2 * self.policy.read_s
        try:
            with self._http.stream(
                request.method, request.url, headers=dict(request.headers), content=request.content
            ) as response:
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > self.policy.response_bytes_max:
                        return Unknown("answer_too_large")
                    if time.monotonic() > deadline:
                        return Unknown("answer_too_slow")
                headers = {name.lower(): value for name, value in response.headers.items()}
                return classify(Reply(response.status_code, headers, bytes(body)))
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol):
            return NotSent("unreachable")
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            return Unknown(type(error).__name__)

    def _judge(self, request: ProviderRequest, key: str, outcome: Outcome) -> None:
        """Tell the breaker: silence and 5xx are failures; an answer of any other kind shows a living provider."""
        match outcome:
            case Unknown(reply=Reply(status=status)) if status < 500:
                return
            case Unknown() | NotSent(reason="unreachable"):
                if self._breaker.failed(key):
                    _OPENED.labels(request.provider).inc()
                    _log.error("calls.breaker_opened", provider=request.provider, account=request.account)
            case NotSent():
                return
            case _:
                self._breaker.worked(key)

    def _report(self, request: ProviderRequest, outcome: Outcome, seconds: float) -> None:
        name = type(outcome).__name__.lower()
        _CALLS.labels(request.provider, request.operation, name).inc()
        _SECONDS.labels(request.provider, request.operation).observe(seconds)
        reply = getattr(outcome, "reply", None)
        _log.info(
            "calls.answered",
            provider=request.provider,
            account=request.account,
            operation=request.operation,
            outcome=name,
            reason=getattr(outcome, "reason", None),
            status=reply.status if reply else None,
            provider_request_id=reply.headers.get("request-id") if reply else None,
            duration_ms=round(seconds * 1000, 1),
        )


def refuse_open_transaction() -> None:
    """Raises CallInTransaction inside an open transaction. The test suite's outermost one does not count."""
    for connection in connections.all(initialized_only=True):
        if len(connection.atomic_blocks) > getattr(connection, "test_atomic_blocks", 0):
            raise CallInTransaction("commit before calling a provider")


def _worth_repeating(outcome: Outcome, request: ProviderRequest, policy: Policy) -> bool:
    match outcome:
        case Unknown():
            return request.repeatable
        case Throttled(retry_after_s=seconds):
            return seconds is None or seconds <= policy.wait_max_s
        case NotSent(reason=reason):
            return reason != "breaker_open"
    return False


def _pause(error: Exception) -> bool | float:
    if not isinstance(error, _Again):
        return False
    outcome = error.outcome
    if isinstance(outcome, Throttled) and outcome.retry_after_s is not None:
        return outcome.retry_after_s
    return True


def shared_client() -> ProviderClient:
    """This process's client; one per process, because connections do not survive a fork."""
    return _client_of(os.getpid(), settings.REDIS_URL)


@lru_cache(maxsize=1)
def _client_of(_pid: int, redis_url: str) -> ProviderClient:
    return ProviderClient(patient_with_nobody(redis_url))


def patient_with_nobody(redis_url: str) -> Redis:
    """A connection that gives up at once: redis-py's own retries would hold a payment up for ten seconds."""
    retry = Retry(NoBackoff(), 0)
    return Redis.from_url(redis_url, socket_timeout=0.5, socket_connect_timeout=0.5, retry=retry)
