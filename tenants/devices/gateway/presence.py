"""Who is there: a Redis key that expires by itself, and `last_seen_at` written in batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.tenancy.context import OrganizationContext, in_organization
from tenants.devices import services
from tenants.devices.adapters import hints

log = structlog.get_logger("keystead.gateway")


class Presence:
    """Devices that were heard since the last flush."""

    def __init__(self, *, redis: Redis, expires_after_ms: int) -> None:
        self._redis = redis
        self._expires_after_ms = expires_after_ms
        self._heard: dict[OrganizationContext, dict[UUID, datetime]] = defaultdict(dict)

    def heard(self, organization: OrganizationContext, device_id: UUID, at: datetime) -> None:
        """Note that the device said something. No I/O."""
        self._heard[organization][device_id] = at

    async def flush(self) -> None:
        """Write down what was heard: one statement per organization, one round trip to Redis."""
        heard, self._heard = self._heard, defaultdict(dict)
        await self._show(
            hints.presence_key(organization.id, device_id)
            for organization, devices in heard.items()
            for device_id in devices
        )
        for organization, devices in heard.items():
            try:
                await in_organization(organization, services.note_seen, seen_at=devices)
            except Exception:
                # It is said again with the next heartbeat; a socket must not fall over it.
                log.exception("gateway.presence_not_written", organization=str(organization.id))

    async def gone(self, organization: OrganizationContext, device_id: UUID) -> None:
        """Forget a device whose socket has closed."""
        try:
            await self._redis.delete(hints.presence_key(organization.id, device_id))
        except RedisError as error:
            log.warning("gateway.presence_unreachable", error=type(error).__name__)

    async def _show(self, keys: Iterable[str]) -> None:
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.set(key, "1", px=self._expires_after_ms)
                await pipeline.execute()
        except RedisError as error:
            log.warning("gateway.presence_unreachable", error=type(error).__name__)
