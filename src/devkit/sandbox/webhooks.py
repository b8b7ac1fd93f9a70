"""Events on their way to webhook endpoints, signed as Stripe signs them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import random
import sqlite3
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import httpx2

from devkit.sandbox.store import Account, Store

BATCH = 50
POLL_S = 0.05
RETRY_BASE_S = 0.5
RETRY_MAX_S = 30.0
MAX_TRIES = 40
TIMEOUT_S = 10.0

_log = logging.getLogger("devkit.sandbox")


def signature(payload: bytes, *, secret: str, timestamp: int) -> str:
    """The ``Stripe-Signature`` header: HMAC-SHA256 over ``<timestamp>.<payload>``."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def on_loopback(url: str) -> tuple[str, str]:
    """The URL to connect to and its Host header: names under ``localhost`` resolve to 127.0.0.1
    here.
    """
    parts = urlsplit(url)
    if parts.hostname and parts.hostname.endswith(".localhost"):
        netloc = f"127.0.0.1:{parts.port}" if parts.port else "127.0.0.1"
        return urlunsplit(parts._replace(netloc=netloc)), parts.netloc
    return url, parts.netloc


class Deliverer:
    """Sends what is due, and lets happen what the provider does by itself; both survive a kill."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def run(self, do_later: Callable[[Account, str, str], None]) -> None:
        """Until cancelled."""
        async with httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
            while True:
                for row in self._store.due_later(self._clock()):
                    with self._store.transaction():
                        do_later(Account(row["key"], row["account"]), row["action"], row["object"])
                        self._store.settle_later(row["id"], self._clock())
                rows = self._store.due_deliveries(self._clock(), BATCH)
                if self._store.setting("webhook_shuffle", 0.0):
                    random.shuffle(rows)
                for row in rows:
                    await self._deliver(client, row)
                if not rows:
                    await asyncio.sleep(POLL_S)

    async def _deliver(self, client: httpx2.AsyncClient, row: sqlite3.Row) -> None:
        account = Account(row["key"], row["account"])
        event = self._store.get(account, "event", row["event"])
        endpoint = self._store.get(account, "webhook_endpoint", row["endpoint"])
        if event is None or endpoint is None:
            self._store.settle_delivery(row["id"], status=None, done=self._clock(), due=row["due"])
            return
        payload = json.dumps(event.body, indent=2).encode()
        now = self._clock()
        url, host = on_loopback(endpoint.body["url"])
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Host": host,
            "Stripe-Signature": signature(payload, secret=endpoint.private["secret"], timestamp=int(now)),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        status: int | None = None
        with contextlib.suppress(httpx2.HTTPError):
            for _ in range(1 + int(self._store.setting("webhook_duplicates", 0.0))):
                response = await client.post(url, content=payload, headers=headers)
                status = response.status_code
        delivered = status is not None and 200 <= status < 300
        tries = row["tries"] + 1
        if not delivered:
            _log.info("webhook %s to %s: %s (try %d)", event.body["type"], host, status, tries)
        pause = min(RETRY_BASE_S * 2 ** min(tries, 10), RETRY_MAX_S) * random.uniform(0.5, 1.0)
        done = self._clock() if delivered or tries >= MAX_TRIES else None
        self._store.settle_delivery(row["id"], status=status, done=done, due=now + pause)
