"""Keeps the pool of ready schemas full, in a thread of the provisioner."""

from __future__ import annotations

import logging
import threading

import psycopg
from django.conf import settings
from django.db import Error, close_old_connections, connection

from engine.errors import DomainError
from engine.tenancy.context import public_schema
from provisioning import pool

logger = logging.getLogger(__name__)

_TROUBLE_SECONDS = 10.0


class PoolKeeper:
    """Looks at the pool at each beat, and makes or drops one schema when that is due.

    It keeps nothing in mind: whoever starts after a crash sees in the table what is to be done.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keystead-pool", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking. A schema that is being made is finished first."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        wait = pace = settings.READY_SCHEMAS_PACE_MS / 1000
        while not self._stop.wait(wait):
            wait = pace
            try:
                close_old_connections()
                beat()
            except (Error, psycopg.Error, DomainError, OSError) as error:
                # No disk, no database, a stale script: organizations are made without the pool meanwhile.
                logger.warning("the pool of ready schemas waits: %s", type(error).__name__)
                wait = max(pace, _TROUBLE_SECONDS)
        connection.close()


def beat() -> bool:
    """Make one schema if one is missing, else drop a stale one. True when something was done."""
    with public_schema():
        lacking = pool.missing()
    return pool.add() if lacking else pool.drop_stale()
