"""Keeping alive what this process is working on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from django.db import close_old_connections, connection

from engine.outbox import claims

logger = logging.getLogger(__name__)


class LeaseKeeper(threading.Thread):
    """Renews the leases of started messages from a thread and a database connection of its own.

    A handler may take minutes (a slow receiver); a killed process must be noticed in seconds. So the
    lease is short and lives exactly as long as this thread does.
    """

    def __init__(self, *, lease_seconds: float) -> None:
        super().__init__(daemon=True, name="outbox-leases")
        self._lease_seconds = lease_seconds
        self._held: dict[UUID, datetime] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    @contextmanager
    def holding(self, started: claims.Started) -> Iterator[None]:
        """Renew ``started``'s lease for as long as the block runs."""
        with self._lock:
            self._held[started.message.id] = started.started_at
        try:
            yield
        finally:
            with self._lock:
                self._held.pop(started.message.id, None)

    def run(self) -> None:
        while not self._stopped.wait(self._lease_seconds / 3):
            with self._lock:
                held = dict(self._held)
            if not held:
                continue
            try:
                close_old_connections()
                claims.renew(held, lease_seconds=self._lease_seconds)
            except Exception as error:  # noqa: BLE001  # a thread that ended here would end every lease for good
                # A lease that runs out costs a second execution, which every handler can bear.
                logger.warning("leases not renewed: %s", type(error).__name__)
        connection.close()

    def stop(self) -> None:
        """End the thread; what is still held becomes free when its lease runs out."""
        self._stopped.set()
