from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.harness.live import LiveDatabase


@pytest.fixture
def probes(live_db: LiveDatabase) -> Iterator[LiveDatabase]:
    """A table `probe` in each organization's schema that says whose it is; `only_b` in b's alone;
    `public.probe` with a secret of the platform."""
    with psycopg.connect(live_db.owner_url, autocommit=True) as owner:
        for letter in "ab":
            owner.execute(f"CREATE TABLE ks_o_test_{letter}.probe (id serial PRIMARY KEY, whose text)")
            owner.execute(f"INSERT INTO ks_o_test_{letter}.probe (whose) VALUES ('{letter}')")
        owner.execute("CREATE TABLE ks_o_test_b.only_b (whose text)")
        owner.execute("INSERT INTO ks_o_test_b.only_b VALUES ('b')")
        owner.execute("CREATE TABLE public.probe (id serial PRIMARY KEY, whose text)")
        owner.execute("INSERT INTO public.probe (whose) VALUES ('platform')")
    yield live_db
