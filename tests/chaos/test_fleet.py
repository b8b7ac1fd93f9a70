"""The crash suite of the fleet's migrator, small enough for the test run; `make chaos NAME=fleet` is the whole."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest

from tests.chaos.fleet import COLUMN, Found, Size, compare, fleet_of, invalid_indexes, run
from tests.chaos.report import seed
from tests.harness.live import LiveDatabase

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("provisioning")]


def test_the_migrator_may_die_at_any_moment_while_people_work(live_db: LiveDatabase, tmp_path: Path) -> None:
    size = Size(organizations=4, kills=3, hold_s=1.0)
    report = run(size=size, number=seed(), database=live_db, folder=tmp_path, say=False)
    assert report.ok, report.line()
    with psycopg.connect(live_db.owner_url, autocommit=True) as owner:
        halves_are_noticed(owner)


def halves_are_noticed(owner: psycopg.Connection[tuple[object, ...]]) -> None:
    """Take from migrated organizations, one by one, what their fingerprints and recorders speak of."""

    def faults() -> tuple[int, int]:
        found = Found()
        compare(owner, ["ks_o_test_a", "ks_o_test_b"], found)
        return len(found.half), len(found.unknown)

    # The release that planted them is gone: its fingerprints are known no more, so both are in unknown states.
    assert faults() == (0, 2)
    owner.execute("ALTER TABLE ks_o_test_a.sites_site DROP COLUMN shade")
    assert faults() == (1, 2)
    owner.execute("DROP INDEX ks_o_test_a.planted_name")
    with pytest.raises(psycopg.errors.UniqueViolation):
        owner.execute("CREATE UNIQUE INDEX CONCURRENTLY planted_name ON ks_o_test_a.sites_site (time_zone)")
    assert faults() == (2, 2)
    assert invalid_indexes(owner) == ["ks_o_test_a.planted_name"]
    owner.execute("UPDATE ks_o_test_b.sites_site SET colour = NULL WHERE name = 'seed-0'")
    assert faults() == (3, 2)
    owner.execute("DELETE FROM ks_o_test_b.django_migrations WHERE name = %s", [COLUMN])
    assert faults() == (4, 3)


def test_a_fingerprint_without_its_column_is_noticed_and_lost_connections_are_not_minded(
    live_db: LiveDatabase, tmp_path: Path
) -> None:
    size = Size(organizations=1, kills=0, hold_s=0, jobs=2)
    found = Found()
    with fleet_of(size, live_db, tmp_path, lambda _: None) as (fleet, _):
        process, ended = fleet.start(), 0
        while process.poll() is None:
            done = fleet.steps_done()
            # Three times, each of them further on.
            if ended < 3 and done > 3 * ended:
                fleet.owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ks_owner'"
                    " AND datname = current_database() AND pid <> pg_backend_pid()"
                )
                ended += 1
            time.sleep(0.005)
        compare(fleet.owner, fleet.schemas, found)
        assert (found.half, found.unknown) == ([], [])
        assert ended > 0
        assert "Traceback" not in fleet.log()
        if process.returncode:
            assert "the same command" in fleet.log() or "goes on" in fleet.log()
            assert fleet.start().wait(timeout=120) == 0, fleet.log()
        compare(fleet.owner, fleet.schemas, found)
        assert (found.half, found.unknown) == ([], [])
        assert fleet.steps_done() == 4 * len(fleet.schemas)
        # What a migrator would leave that writes the fingerprint and not the column.
        fleet.owner.execute("ALTER TABLE ks_o_test_a.sites_site DROP COLUMN colour")
        compare(fleet.owner, fleet.schemas, found)
        assert [text.partition(":")[0] for text in found.half] == ["ks_o_test_a", "ks_o_test_a"]
