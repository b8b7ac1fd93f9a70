"""The crash suite of provisioning, small enough for the test run; `make chaos NAME=provisioning` is the whole."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from engine.tenancy.context import public_schema
from shared.organizations.models import Organization
from tests.chaos.provisioning import Size, compare_gone, compare_living, run
from tests.chaos.report import seed
from tests.harness.live import LiveDatabase
from tests.harness.matcher import running_matcher

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("provisioning")]


def test_an_organization_is_made_and_ended_whoever_dies_meanwhile(live_db: LiveDatabase, tmp_path: Path) -> None:
    with running_matcher(database_url=live_db.app_url, log=tmp_path / "matcher.log") as matcher:
        size = Size(rounds=1, middles=0)
        report = run(size=size, number=seed(), database=live_db, matcher_url=matcher.url, say=False)
        assert report.ok, report.line()
    assert leftovers_are_noticed(live_db, f"life-{report.seed:08x}-0")


def leftovers_are_noticed(database: LiveDatabase, slug: str) -> bool:
    """Plant a schema of the organization that is gone, and take a key of one that lives."""
    with public_schema():
        gone = Organization.objects.get(slug=slug)
        living = Organization.objects.get(slug="org-a")
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute(f"CREATE SCHEMA {gone.schema_name}")
        owner.execute(f"DELETE FROM {living.schema_name}.keyring_organizationkey WHERE purpose = 'secrets'")
    faults: dict[str, list[str]] = {"create": [], "offboard": [], "certificate": []}
    this = SimpleNamespace(database=database, faults=faults)
    compare_gone(this, slug, gone.id)
    compare_living(this, living.slug, living.id)
    return f"{slug}: the schema is there" in faults["offboard"] and "has keys" in " ".join(faults["create"])
