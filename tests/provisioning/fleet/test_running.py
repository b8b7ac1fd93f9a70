"""Migrations of many organizations: all of a hop or nothing, in waves, resumable."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from engine.tenancy.context import owner_schema, public_schema
from provisioning import schemas
from provisioning.fleet import runs, status
from provisioning.fleet.models import FleetRun, FleetStep
from provisioning.fleet.planning import Phase, PhaseOrderError
from provisioning.fleet.running import Runner
from shared.organizations.models import Organization
from tenants.sites.models import Site
from tests.harness.live import LiveDatabase
from tests.harness.planted import forget
from tests.provisioning.fleet.conftest import grow, migrate

COLUMN = 'migrations.AddField("site", "colour", models.TextField(null=True)),'
INDEX = 'AddIndexConcurrently("site", models.Index(fields=["name"], name="planted_name")),'


def fingerprints() -> set[str]:
    with public_schema():
        return set(Organization.objects.values_list("schema_fingerprint", flat=True))


def steps(**chosen: object) -> list[FleetStep]:
    with public_schema():
        return list(FleetStep.objects.filter(**chosen).order_by("organization_id", "id"))


def query(database: LiveDatabase, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        cursor = owner.execute(text)
        return cursor.fetchall() if cursor.description else []


CODE = "migrations.RunPython(lambda apps, editor: apps.get_model('sites', 'Site').objects.count()),"


def columns(database: LiveDatabase, name: str) -> int:
    """In how many organizations a site has this column."""
    text = f"SELECT 1 FROM information_schema.columns WHERE table_name = 'sites_site' AND column_name = '{name}'"
    return len(query(database, text))


def recorded(database: LiveDatabase, organization: Organization, name: str) -> int:
    table = f"{organization.schema_name}.django_migrations"
    return len(query(database, f"SELECT 1 FROM {table} WHERE name = '{name}'"))


def spoil(database: LiveDatabase, organization: Organization, *, name: str = "a secret name") -> None:
    """Give an organization a row that a planted constraint refuses."""
    query(
        database,
        f"INSERT INTO {organization.schema_name}.sites_site (id, created_at, name, time_zone, path, updated_at)"
        f" VALUES (gen_random_uuid(), now(), '{name}', 'UTC', '/{name}', now())",
    )


def test_an_added_column_is_made_once_and_goes_everywhere(fleet_db, planted):
    (one,) = grow(1)
    planted.add("0090_pre_colour", COLUMN)
    run, told = migrate(canaries=[one.slug])
    assert (run.status, run.done, run.failed) == ("succeeded", 3, 0)
    assert [event.text for event in told if event.kind == "wave"] == ["canaries", "1 %", "all"]
    assert next(event.slug for event in told if event.kind == "done") == one.slug
    assert fingerprints() == {schemas.fingerprint()}
    assert columns(fleet_db, "colour") == 3
    (step,) = steps(organization=one)
    assert (step.app, step.migration, step.path) == ("sites", "0090_pre_colour", "sql")
    assert (step.state, step.attempts) == ("done", 1)
    assert step.duration_ms > 0
    assert recorded(fleet_db, one, "0090_pre_colour") == 1
    again, told = migrate()
    assert (again.status, again.done, told) == ("succeeded", 0, [])
    # A release that does not know the migration leaves the schema alone.
    Path(planted.folder, planted.package, "more", "0090_pre_colour.py").unlink()
    forget()
    earlier, told = migrate()
    assert (earlier.status, earlier.done, told) == ("succeeded", 0, [])


def test_what_is_no_sql_goes_through_django_between_hops_of_sql(fleet_db, planted):
    planted.add("0090_pre_colour", COLUMN)
    planted.add("0091_pre_code", CODE)
    planted.add("0092_pre_index", INDEX, atomic=False)
    planted.add("0093_pre_shade", 'migrations.AddField("site", "shade", models.TextField(null=True)),')
    run, _ = migrate()
    assert run.status == "succeeded"
    assert fingerprints() == {schemas.fingerprint()}
    assert {(step.migration, step.path) for step in steps(state="done")} == {
        ("0090_pre_colour", "sql"),
        ("0091_pre_code", "django"),
        ("0092_pre_index", "django"),
        ("0093_pre_shade", "sql"),
    }
    valid = query(fleet_db, "SELECT indisvalid FROM pg_index WHERE indexrelid::regclass::text ~ 'planted_name'")
    assert valid == [(True,)] * 2


def test_the_rest_of_a_killed_concurrent_index_is_dropped_and_made_again(fleet_db, planted, org_a):
    planted.add("0090_pre_index", INDEX, atomic=False)
    for site in ("a", "b"):
        spoil(fleet_db, org_a, name=site)
    with pytest.raises(psycopg.Error):
        # Two equal time zones: what is left is an index that PostgreSQL calls invalid.
        query(fleet_db, f"CREATE UNIQUE INDEX CONCURRENTLY planted_name ON {org_a.schema_name}.sites_site (time_zone)")
    name = f"{org_a.schema_name}.planted_name"
    found = f"SELECT indisvalid, indisunique FROM pg_index WHERE indexrelid = '{name}'::regclass"
    assert query(fleet_db, found) == [(False, True)]
    run, _ = migrate()
    assert run.status == "succeeded"
    assert query(fleet_db, found) == [(True, False)]


CHECK = """
migrations.AddField("site", "shade", models.TextField(null=True)),
migrations.RunSQL("ALTER TABLE sites_site ADD CONSTRAINT planted CHECK (name <> 'a secret name')"),
"""


def test_one_failure_stops_the_run_and_leaves_everybody_whole(fleet_db, planted, org_a, org_b):
    grow(1)
    spoil(fleet_db, org_b)
    planted.add("0090_pre_colour", COLUMN)
    planted.add("0091_pre_check", CHECK)
    run, told = migrate(jobs=1)
    assert (run.status, run.done, run.failed) == ("stopped", 1, 1)
    (failure,) = [event for event in told if event.kind == "failed"]
    assert failure.slug == "org-b"
    assert failure.text == "sites.0091_pre_check: CheckViolation (23514) table sites_site constraint planted"
    (step,) = steps(state="failed")
    assert (step.organization_id, step.migration) == (org_b.id, "0091_pre_check")
    assert "secret" not in step.error
    # Neither of the hop's migrations was kept; who came after was not begun.
    assert columns(fleet_db, "colour") == columns(fleet_db, "shade") == 1
    assert not recorded(fleet_db, org_b, "0090_pre_colour")
    # A threshold lets the others go on.
    run, _ = migrate(abort_after="90%")
    assert (run.status, run.done, run.failed) == ("failed", 1, 1)
    query(fleet_db, f"DELETE FROM {org_b.schema_name}.sites_site")
    mended, _ = migrate()
    assert mended.status == "succeeded"
    assert fingerprints() == {schemas.fingerprint()}
    assert not steps(state="failed")


def test_a_table_in_use_is_not_waited_for_but_tried_again(fleet_db, planted, org_a):
    planted.add("0090_pre_colour", COLUMN)
    released = threading.Event()
    with psycopg.connect(fleet_db.owner_url) as reader:
        reader.execute(f"SELECT 1 FROM {org_a.schema_name}.sites_site")
        told: list[object] = []

        def tell(event):
            told.append(event)
            if event.kind == "waiting":
                released.set()

        def release():
            assert released.wait(60)
            reader.rollback()

        thread = threading.Thread(target=release)
        thread.start()
        run = runs.begin(phase=Phase.ALL, canaries=[org_a.slug], jobs=1, lock_timeout_ms=20, abort_after="1")
        done = Runner(run=run, tell=tell).go()
        thread.join()
    assert done.status == "succeeded"
    (step,) = steps(organization_id=org_a.id)
    assert step.attempts > 1


def test_pre_and_post_wait_for_each_other(fleet_db, planted):
    planted.add("0090_pre_colour", COLUMN)
    planted.add("0091_post_drop_colour", 'migrations.RemoveField("site", "colour"),')
    with pytest.raises(PhaseOrderError, match="--phase pre"):
        migrate(Phase.POST)
    run, _ = migrate(Phase.PRE)
    assert run.status == "succeeded"
    assert columns(fleet_db, "colour") == 2
    again, told = migrate(Phase.PRE)
    assert (again.done, told) == (0, [])
    planted.add("0092_pre_shade", 'migrations.AddField("site", "shade", models.TextField(null=True)),')
    with pytest.raises(PhaseOrderError, match="0091_post_drop_colour"):
        migrate(Phase.PRE)
    run, _ = migrate(Phase.ALL)
    assert run.status == "succeeded"
    assert (columns(fleet_db, "colour"), columns(fleet_db, "shade")) == (0, 2)
    assert fingerprints() == {schemas.fingerprint()}


def test_a_paused_run_begins_nobody_further_until_it_is_resumed(fleet_db, planted):
    planted.add("0090_pre_colour", COLUMN)

    def tell(event):
        if event.kind == "done":
            runs.request_pause()

    run = runs.begin(phase=Phase.ALL, canaries=["org-b"], jobs=1, lock_timeout_ms=50, abort_after="1")
    paused = Runner(run=run, tell=tell).go()
    assert paused.status == "paused"
    assert columns(fleet_db, "colour") == paused.done
    with pytest.raises(runs.RunPausedError, match="--resume"):
        migrate()
    assert not status.progress().is_alive
    resumed = Runner(run=runs.resume(phase=Phase.ALL), tell=lambda event: None).go()
    assert (resumed.id, resumed.status) == (run.id, "succeeded")
    assert columns(fleet_db, "colour") == 2


def test_two_runners_share_the_work(fleet_db, planted):
    grow(2)
    planted.add("0090_pre_colour", COLUMN)
    failures: list[BaseException] = []

    def one():
        try:
            run = runs.begin(phase=Phase.ALL, canaries=[], jobs=2, lock_timeout_ms=50, abort_after="1")
            assert Runner(run=run, tell=lambda event: None).go().status == "succeeded"
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert columns(fleet_db, "colour") == 4
    assert all(step.attempts == 1 for step in steps())


def test_privileges_follow_their_declaration_without_a_migration(fleet_db, planted, org_a, monkeypatch):
    migrate()
    monkeypatch.setattr(Site, "privileges", frozenset({"UPDATE", "DELETE"}))
    schemas.fingerprint.cache_clear()
    may = f"SELECT has_table_privilege('{org_a.role_name}', '{org_a.schema_name}.sites_site', 'DELETE')"
    before = query(fleet_db, may)
    run, _ = migrate()
    assert (run.status, before, query(fleet_db, may)) == ("succeeded", [(False,)], [(True,)])
    monkeypatch.undo()
    schemas.fingerprint.cache_clear()
    migrate()
    assert query(fleet_db, may) == before


def test_a_plan_counts_organizations_without_a_fingerprint_and_notes_none(fleet_db, planted, org_b):
    migrate()
    with public_schema():
        known = set(Organization.objects.values_list("schema_fingerprint", flat=True))
    query(fleet_db, f"UPDATE public.organizations_organization SET schema_fingerprint = '' WHERE id = '{org_b.id}'")
    planted.add("0090_pre_colour", COLUMN)
    groups = status.plan(phase=Phase.ALL)
    assert sum(group.organizations for group in groups) == 2
    assert {key for group in groups for key, _ in group.pending} == {("sites", "0090_pre_colour")}
    assert fingerprints() == {*known, ""}
    migrate()
    assert fingerprints() == {schemas.fingerprint()}


TWO_TABLES = """
migrations.AddField("site", "colour", models.TextField(null=True)),
migrations.CreateModel("Shade", [("id", models.UUIDField(primary_key=True))]),
migrations.RunSQL('ALTER TABLE "identity_person" ADD COLUMN colour text'),
migrations.RunSQL(
    "INSERT INTO django_migrations (app, name, applied) SELECT 'seen', current_setting('lock_timeout'), now()"
),
"""


def test_the_tables_of_one_transaction_share_the_time_that_it_may_wait(fleet_db, planted, org_a):
    planted.add("0090_pre_colour", TWO_TABLES)
    planted.add("0091_pre_code", CODE)
    run, _ = migrate(lock_timeout_ms=50)
    assert run.status == "succeeded"
    seen = query(fleet_db, f"SELECT name FROM {org_a.schema_name}.django_migrations WHERE app = 'seen'")
    # The table that it makes is nobody's yet.
    assert seen == [("25ms",)]


NOTED_SETTING = """
migrations.RunSQL(
    "INSERT INTO django_migrations (app, name, applied) SELECT 'seen', current_setting('synchronous_commit'), now()"
),
"""


def test_no_organizations_commit_is_waited_for_but_the_runs_end_is(fleet_db, planted, org_a, monkeypatch):
    # As a server is outside the tests.
    query(fleet_db, f"ALTER DATABASE {fleet_db.name} SET synchronous_commit = 'on'")
    planted.add("0090_pre_noted", NOTED_SETTING)
    at_the_end: list[object] = []
    end = runs.end

    def watched(*arguments: object, **more: object) -> FleetRun:
        with owner_schema("public"), connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            at_the_end.extend(cursor.fetchall())
        return end(*arguments, **more)

    monkeypatch.setattr(runs, "end", watched)
    run, _ = migrate()
    assert run.status == "succeeded"
    assert query(fleet_db, f"SELECT name FROM {org_a.schema_name}.django_migrations WHERE app = 'seen'") == [("off",)]
    assert at_the_end == [("on",)]
