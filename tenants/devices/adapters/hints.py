"""What the gateway is told over Redis: hints only, so that losing one costs seconds and nothing else.

One channel for all: each gateway process holds one subscription and looks in its own table
whether the device is connected to it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from uuid import UUID

import redis
import structlog
from django.conf import settings
from django.db import transaction
from redis.exceptions import RedisError

from engine.tenancy.context import current_organization

CHANNEL = "keystead:gateway"
_TIMEOUT_S = 2.0

Kind = Literal["command", "revoked", "session"]
_KINDS = frozenset({"command", "revoked", "session"})

log = structlog.get_logger("keystead.gateway")


@dataclass(frozen=True, slots=True)
class Hint:
    """Look at this device: it has a command, was revoked, or opened the session that is named."""

    kind: Kind
    organization_id: UUID
    device_id: UUID
    session_id: UUID | None = None

    def encode(self) -> str:
        """As it travels."""
        session = str(self.session_id) if self.session_id else None
        return json.dumps([self.kind, str(self.organization_id), str(self.device_id), session])

    @classmethod
    def decode(cls, text: str | bytes) -> Hint | None:
        """What was sent, or None for something that is not a hint."""
        try:
            kind, organization_id, device_id, session_id = json.loads(text)
            if kind not in _KINDS:
                return None
            return cls(
                kind,
                UUID(organization_id),
                UUID(device_id),
                UUID(session_id) if session_id is not None else None,
            )
        except (ValueError, TypeError, AttributeError):
            return None


def after_commit(kind: Kind, *, device_id: UUID) -> None:
    """Tell the gateways about a device of the current organization once the transaction stands."""
    hint = Hint(kind, current_organization().id, device_id)
    transaction.on_commit(lambda: _publish(hint), robust=True)


def presence_key(organization_id: UUID, device_id: UUID) -> str:
    """The key that exists while the device is connected."""
    return f"org:{organization_id}:presence:{device_id}"


def online(*, device_ids: Sequence[UUID]) -> dict[UUID, bool | None]:
    """Which devices of the current organization are connected; None when Redis does not say."""
    if not device_ids:
        return {}
    organization_id = current_organization().id
    try:
        found = _client().mget([presence_key(organization_id, one) for one in device_ids])
    except RedisError as error:
        log.warning("gateway.presence_unreachable", error=type(error).__name__)
        return dict.fromkeys(device_ids)
    return {one: value is not None for one, value in zip(device_ids, found, strict=True)}


def _publish(hint: Hint) -> None:
    try:
        _client().publish(CHANNEL, hint.encode())
    except RedisError as error:
        log.warning("gateway.hint_lost", kind=hint.kind, error=type(error).__name__)


@lru_cache(maxsize=1)
def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
