from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.tenancy.context import public_schema
from provisioning import pool, schemas
from provisioning.fleet import runs
from provisioning.fleet.models import FleetRun
from provisioning.fleet.planning import Phase
from provisioning.fleet.running import Event, Runner
from shared.organizations.models import Organization
from shared.plans.models import Plan
from tests.harness.live import LiveDatabase
from tests.harness.planted import Planted


@pytest.fixture
def fleet_db(live_db: LiveDatabase) -> Iterator[LiveDatabase]:
    """A database of the test's own, in which this process is the migrator."""
    with live_db.as_owner():
        yield live_db


@pytest.fixture
def planted(tmp_path: Path) -> Iterator[Planted]:
    made = Planted(tmp_path)
    with made.installed():
        yield made


def grow(count: int) -> list[Organization]:
    """That many organizations, with schemas as the product makes them."""
    return [_organization(number) for number in range(count)]


def _organization(number: int) -> Organization:
    names = pool.new_names()
    slug = f"fleet-{number:04}"
    with public_schema():
        row = Organization.objects.create(
            slug=slug,
            name=slug,
            status="active",
            plan=Plan.objects.earliest("id"),
            issuer=f"http://{slug}.keystead.test",
            environment="test",
            schema_name=names.schema,
            role_name=names.role,
            time_zone="UTC",
            locale="en",
            currency="EUR",
        )
    schemas.create(schema=names.schema, role=names.role)
    with public_schema():
        row.refresh_from_db()
    return row


def migrate(phase: Phase = Phase.ALL, **choices: object) -> tuple[FleetRun, list[Event]]:
    """One run over the fleet, and what it told."""
    told: list[Event] = []
    run = runs.begin(phase=phase, **{"canaries": [], "jobs": 2, "lock_timeout_ms": 50, "abort_after": "1", **choices})
    return Runner(run=run, tell=told.append).go(), told
