"""Real PostgreSQL 18 and Valkey 9 from wheels: no root, no Docker, nothing left behind.

State lives in the folder that is given and is used again by the next start. Servers listen on
127.0.0.1 only, ask for a generated password, and die with the process that started them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from devkit.postgres import PostgresServer, start_postgres
from devkit.valkey import ValkeyServer, start_valkey


@dataclass(frozen=True)
class Embedded:
    """Both servers, running."""

    postgres: PostgresServer
    valkey: ValkeyServer

    @property
    def postgres_url(self) -> str:
        """Superuser DSN to the database `postgres`."""
        return self.postgres.url()

    @property
    def redis_url(self) -> str:
        return self.valkey.url()


@contextlib.contextmanager
def embedded(
    state_dir: Path, *, volatile: bool = False, settings: Mapping[str, str] | None = None
) -> Iterator[Embedded]:
    """PostgreSQL and Valkey for the length of a block. See `start_postgres` and `start_valkey`."""
    postgres = start_postgres(state_dir, volatile=volatile, settings=settings)
    try:
        valkey = start_valkey(state_dir)
        try:
            yield Embedded(postgres, valkey)
        finally:
            valkey.stop()
    finally:
        postgres.stop()
