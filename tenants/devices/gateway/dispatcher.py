"""One per process: which socket belongs to which device, and what reaches it.

Commands and revocations live in PostgreSQL. A single Redis subscription says when to look; a look every
few seconds finds what the hints did not say.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol
from uuid import UUID
from weakref import WeakValueDictionary

import structlog
from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.clock import Clock, utc_now
from engine.tenancy import directory
from engine.tenancy.context import OrganizationContext, in_organization, in_routing_schema
from engine.tenancy.routing import SUSPENDED
from tenants.devices import services
from tenants.devices.adapters.hints import CHANNEL, Hint
from tenants.devices.gateway.closing import Close
from tenants.devices.gateway.limits import Limits
from tenants.devices.gateway.presence import Presence
from tenants.devices.gateway.registry import Reply, Session

_RECONNECT_S = 0.5
_POLL_S = 1.0
_RECHECKS_AT_ONCE = 4

log = structlog.get_logger("keystead.gateway")


class Socket(Protocol):
    """What the dispatcher asks of a connected device's consumer."""

    @property
    def session(self) -> Session: ...

    def push(self, reply: Reply) -> None: ...

    async def deliver(self) -> None: ...

    async def end(self, code: Close, reason: str) -> None: ...


class Dispatcher:
    """The sockets of this process, and the tasks that look after them."""

    def __init__(self, *, limits: Limits | None = None, clock: Clock = utc_now) -> None:
        self.limits = limits or Limits()
        self.clock = clock
        self._slow = asyncio.Semaphore(self.limits.slow_handlers_max)
        # Weak: an organization's turns are forgotten when nobody waits for or has one.
        self._slow_of: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()
        self._sockets: dict[tuple[UUID, UUID], Socket] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._telling: set[asyncio.Task[None]] = set()
        self._redis = Redis.from_url(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=5)
        self.presence = Presence(redis=self._redis, expires_after_ms=int(self.limits.silence_max_s * 1000))

    def __len__(self) -> int:
        return len(self._sockets)

    def sockets(self) -> list[Socket]:
        """The sockets of devices that have proven themselves."""
        return list(self._sockets.values())

    @contextlib.asynccontextmanager
    async def slow_turn(self, organization_id: UUID) -> AsyncIterator[None]:
        """Wait for one of the process's slow turns, of which no organization has more than its share."""
        own = self._slow_of.get(organization_id)
        if own is None:
            own = self._slow_of[organization_id] = asyncio.Semaphore(self.limits.slow_handlers_per_organization)
        async with own, self._slow:
            yield

    async def start(self) -> None:
        """Begin to listen and to look. Called once, on the process's event loop."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="gateway-hints"),
            asyncio.create_task(self._every(self.limits.recheck_interval_s, self.recheck), name="gateway-recheck"),
            asyncio.create_task(
                self._every(self.limits.presence_interval_s, self.presence.flush),
                name="gateway-presence",
            ),
        ]

    async def stop(self) -> None:
        """Stop listening, and write down who was there."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self.presence.flush()
        await self._redis.aclose()

    async def is_ready(self) -> bool:
        """Whether organizations can be found. Without Redis the gateway still works, only later."""
        try:
            await in_routing_schema(directory.by_host, "readiness.invalid")
        except Exception as error:  # noqa: BLE001  # whatever it is, this process cannot serve
            log.warning("gateway.not_ready", error=type(error).__name__)
            return False
        return True

    async def add(self, socket: Socket) -> None:
        """Take a socket in. The device's older socket is closed, wherever it is."""
        session = socket.session
        key = (session.organization.id, session.device.id)
        older = self._sockets.get(key)
        self._sockets[key] = socket
        if older is not None:
            await older.end(Close.REPLACED, "the device opened another session")
        hint = Hint("session", session.organization.id, session.device.id, session.id)
        # Nobody waits for it: a Redis that hangs must not keep devices from getting ready.
        telling = asyncio.create_task(self._tell(hint))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def remove(self, socket: Socket) -> None:
        """Forget a socket that has closed."""
        session = socket.session
        key = (session.organization.id, session.device.id)
        if self._sockets.get(key) is socket:
            del self._sockets[key]
            await self.presence.gone(session.organization, session.device.id)

    async def follow(self, hint: Hint) -> None:
        """Do what a hint suggests, if the device is connected here."""
        socket = self._sockets.get((hint.organization_id, hint.device_id))
        if socket is None:
            return
        if hint.kind == "command":
            await socket.deliver()
        elif hint.kind == "revoked":
            await self._recheck_some(socket.session.organization, [socket])
        elif hint.session_id != socket.session.id:
            await socket.end(Close.REPLACED, "the device opened another session")

    async def recheck(self) -> None:
        """Close what was revoked or suspended, and deliver what waits. A few statements per organization."""
        by_organization: dict[OrganizationContext, list[Socket]] = defaultdict(list)
        for socket in self._sockets.values():
            by_organization[socket.session.organization].append(socket)
        gate = asyncio.Semaphore(_RECHECKS_AT_ONCE)

        async def one(organization: OrganizationContext, sockets: list[Socket]) -> None:
            async with gate:
                await self._recheck_some(organization, sockets)

        await asyncio.gather(*(one(*item) for item in by_organization.items()))

    async def _recheck_some(self, organization: OrganizationContext, sockets: list[Socket]) -> None:
        now = await in_routing_schema(directory.by_id, organization.id)
        if now is None or now.status == SUSPENDED:
            await _end_all(sockets, "the organization is suspended")
            return
        if now.schema_name != organization.schema_name:
            await _end_all(sockets, "the organization was restored from a backup")
            return
        credentials = {one.session.device.id: one.session.credential_id for one in sockets}
        state = await in_organization(organization, services.recheck, credentials=credentials, clock=self.clock)
        await _end_all(
            [one for one in sockets if one.session.device.id in state.revoked],
            "the device or its credential was revoked",
        )
        for socket in sockets:
            if socket.session.device.id in state.waiting:
                await socket.deliver()

    async def _tell(self, hint: Hint) -> None:
        try:
            await self._redis.publish(CHANNEL, hint.encode())
        except RedisError as error:
            log.warning("gateway.hint_lost", kind=hint.kind, error=type(error).__name__)

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as subscription:
                    await subscription.subscribe(CHANNEL)
                    while True:
                        message = await subscription.get_message(timeout=_POLL_S)
                        hint = Hint.decode(message["data"]) if message else None
                        if hint is not None:
                            await self._follow_safely(hint)
            except (RedisError, OSError) as error:
                log.warning("gateway.hints_unreachable", error=type(error).__name__)
            await asyncio.sleep(_RECONNECT_S)

    async def _follow_safely(self, hint: Hint) -> None:
        try:
            await self.follow(hint)
        except Exception:
            # The next recheck does it; one device's trouble must not deafen the others.
            log.exception("gateway.hint_failed", kind=hint.kind)

    async def _every(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await act()
            except Exception:
                log.exception("gateway.round_failed")


async def _end_all(sockets: list[Socket], reason: str) -> None:
    for socket in sockets:
        with contextlib.suppress(ConnectionError):
            await socket.end(Close.REVOKED, reason)
