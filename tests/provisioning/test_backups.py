"""Backing up one organization and restoring it: whole, or refused with nothing changed."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config import cli
from engine import ids
from engine.blobs.erasures import ErasureJournal, OrganizationErasure
from engine.blobs.store import open_store
from engine.clock import utc_now
from engine.matcher_client import MatcherUnavailable
from engine.outbox import claims
from engine.principals import SYSTEM
from engine.tenancy.context import OrganizationContext, organization, public_schema
from provisioning import flows, offboarding, organizations, rules, schemas, suspension
from provisioning.backups import archive, keys, services, settling, tables
from provisioning.models import Backup, Flow, FlowKind
from provisioning.steps.restore import UNKNOWN_END
from shared.operators.rules import Role
from shared.organizations.models import Domain, Organization
from tenants.audit import services as audit
from tenants.events import selectors as event_selectors
from tenants.events import services as events
from tenants.identity import services as identity
from tenants.identity.models import Person
from tenants.keyring import services as keyring
from tenants.keyring.models import PersonKey
from tests.factories import operators
from tests.factories import payments as make
from tests.harness.live import LiveDatabase, live_database

pytestmark = pytest.mark.xdist_group("provisioning")

PEOPLE = 12
LATER = ("oauth2_provider", "0022_refreshtoken_token_family_index")
"""A migration that adds no column and on which no other depends."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nobody here who would have to hear that the organization is closed."""
    monkeypatch.setattr(rules, "HEARD_EVERYWHERE", timedelta(0))
    monkeypatch.setattr(settling, "probe_freshness", lambda: timedelta(0))


@pytest.fixture
def owner(live_db: LiveDatabase) -> Iterator[LiveDatabase]:
    with live_db.as_owner():
        yield live_db


@pytest.fixture
def people(org_a: OrganizationContext) -> list[UUID]:
    with organization(org_a):
        return [make.person_id() for _ in range(PEOPLE)]


def run(flow: Flow) -> Flow:
    """A flow to its end, as the command line does it."""
    while (done := flows.advance(flow_id=flow.id)).status == "waiting":
        time.sleep(0.05)
    return done


def row_of(context: OrganizationContext) -> Organization:
    with public_schema():
        return Organization.objects.get(id=context.id)


def backed_up(context: OrganizationContext, to: Path) -> Path:
    row = row_of(context)
    with public_schema():
        flow = services.request_backup(by=SYSTEM, organization=row, to=to)
    run(flow)
    return to


def contents(schema: str) -> dict[str, tuple[int, str]]:
    """Rows and hash of each table of a schema."""
    with tables.reading() as raw:
        return {
            shape.name: tables.tally(raw, schema=schema, shape=shape) for shape in tables.shapes(raw, schema=schema)
        }


def drop_schema(schema: str) -> None:
    with schemas.owner_connection() as raw:
        raw.execute(f"DROP SCHEMA {schema} CASCADE")


def test_a_copy_beside_the_living_one_is_switched_in_and_the_old_one_kept(
    owner: LiveDatabase, org_a: OrganizationContext, people: list[UUID], tmp_path: Path
) -> None:
    before = contents(org_a.schema_name)
    file = backed_up(org_a, tmp_path / "a.ksb")
    with public_schema():
        backup = Backup.objects.get(organization_id=org_a.id)
    assert (backup.status, backup.size_bytes) == ("complete", file.stat().st_size)
    assert backup.row_count == sum(rows for rows, _ in before.values())
    with organization(org_a):
        make.person_id()
    done = run(services.request_restore(by=SYSTEM, location=str(file), mode=services.Mode.AS_COPY))
    row = row_of(org_a)
    assert (row.schema_name, row.role_name) == (done.parameters["schema"], done.parameters["role"])
    assert (row.status, row.schema_fingerprint) == ("active", schemas.fingerprint())
    with organization(row.context()):
        assert Person.objects.count() == PEOPLE
        told = event_selectors.sealed().get(row__type="organization.restored")
        # It stands behind the gap, and everything that has got a number since stands behind it.
        ended_at = json.loads(told.row.body)["data"]["ended_at"]
        assert ended_at <= told.sequence - 1
        assert {seal.sequence for seal in event_selectors.sealed(after=ended_at)} >= {told.sequence}
        assert events.verify().intact
        assert audit.verify().intact
        make.person_id()
        events.seal()
        assert events.verify().intact
    # What went out of use: kept, out of reach of the role that worked on it, and dropped on demand.
    with psycopg.connect(owner.app_url, autocommit=True) as app:
        app.execute(f"SET ROLE {org_a.role_name}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(f"SELECT 1 FROM {org_a.schema_name}.identity_person")
    assert services.drop_superseded(organization=row) == [org_a.schema_name]
    assert services.drop_superseded(organization=row) == []


def test_after_its_schema_was_dropped_everything_is_back_and_the_neighbour_untouched(
    owner: LiveDatabase, org_a: OrganizationContext, org_b: OrganizationContext, people: list[UUID], tmp_path: Path
) -> None:
    file = backed_up(org_a, tmp_path / "a.ksb")
    neighbour = contents(org_b.schema_name)
    with file.open("rb") as opened:
        manifest = archive.verify(opened, kms=keys.kms())
    drop_schema(org_a.schema_name)
    flow = services.request_restore(by=SYSTEM, location=str(file))
    copied: dict[str, tuple[int, str]] = {}
    while flow.step != "settle":
        copied = contents(flow.parameters["schema"]) if flow.step == "close" else copied
        advance_one(flow)
    assert copied == {table.name: (table.rows, table.sha256) for table in manifest.tables}
    run(flow)
    row = row_of(org_a)
    with organization(row.context()):
        assert set(Person.objects.values_list("id", flat=True)) == set(people)
        number = event_selectors.sealed().last()
        assert number is not None
        assert number.sequence > UNKNOWN_END
        assert events.verify().intact
    assert contents(org_b.schema_name) == neighbour


def advance_one(flow: Flow) -> None:
    """One step, as the runner takes it."""
    with public_schema():
        flow.refresh_from_db()
        flow = Flow.objects.select_related("organization").get(id=flow.id)
    if flows.STEPS[FlowKind.RESTORE][flow.step](flow) is None:
        flows._move_on(flow)


def test_into_a_database_that_does_not_know_it(
    owner: LiveDatabase, org_a: OrganizationContext, people: list[UUID], tmp_path: Path
) -> None:
    file = backed_up(org_a, tmp_path / "a.ksb")
    with live_database() as fresh, fresh.as_owner():
        with psycopg.connect(fresh.owner_url, autocommit=True) as raw:
            raw.execute(f"DROP SCHEMA {org_a.schema_name} CASCADE")
            raw.execute("DELETE FROM public.organizations_domain WHERE organization_id = %s", [org_a.id])
            raw.execute("DELETE FROM public.organizations_organization WHERE id = %s", [org_a.id])
        with pytest.raises(services.ModeError, match="--into-fresh"):
            services.request_restore(by=SYSTEM, location=str(file))
        run(services.request_restore(by=SYSTEM, location=str(file), mode=services.Mode.INTO_FRESH))
        row = row_of(org_a)
        assert (row.slug, row.issuer, row.status) == (org_a.slug, org_a.issuer, "active")
        with public_schema():
            assert Domain.objects.filter(organization=row, is_canonical=True).count() == 1
            assert set(row.flows.values_list("kind", "status")) == {("backup", "cancelled"), ("restore", "succeeded")}
        with organization(row.context()):
            assert Person.objects.count() == PEOPLE


def test_who_was_erased_after_the_backup_stays_erased(
    owner: LiveDatabase,
    org_a: OrganizationContext,
    people: list[UUID],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    erased, kept = people[:2]
    with organization(org_a):
        PersonKey.objects.bulk_create(
            PersonKey(person_id=one, purpose="documents", organization_key_version=1, wrapped=b"w") for one in people
        )
    file = backed_up(org_a, tmp_path / "a.ksb")
    monkeypatch.setattr(keyring, "EVICTION_SECONDS", 0)
    # There is no matcher here: the keys are gone all the same, and the journal says so.
    with organization(org_a), pytest.raises(MatcherUnavailable):
        identity.erase_person(person_id=erased, by=make.STAFF)
    drop_schema(org_a.schema_name)
    run(services.request_restore(by=SYSTEM, location=str(file)))
    with organization(row_of(org_a).context()):
        left = set(PersonKey.objects.values_list("person_id", flat=True))
        assert erased not in left
        assert kept in left
        assert Person.objects.get(id=erased).display_name == ""
        assert Person.objects.get(id=kept).display_name == "Ada"


def test_an_offboarded_organization_is_not_restored(
    owner: LiveDatabase, org_a: OrganizationContext, people: list[UUID], tmp_path: Path
) -> None:
    file = backed_up(org_a, tmp_path / "a.ksb")
    drop_schema(org_a.schema_name)
    journal = ErasureJournal(open_store(settings.BLOB_URL))
    elsewhere = OrganizationErasure(organization_id=ids.uuid7(), erased_at=utc_now(), key_ids=())
    journal.record_organization(elsewhere)
    keys.refuse_offboarded(org_a.id)
    with pytest.raises(keys.OffboardedError):
        keys.refuse_offboarded(elsewhere.organization_id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ErasureJournal, "organization", lambda _, __: elsewhere)
        with pytest.raises(keys.OffboardedError):
            services.request_restore(by=SYSTEM, location=str(file))


def _cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def _flip(content: bytes) -> bytes:
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def _other_format(content: bytes) -> bytes:
    return _rewritten(content, lambda name, body: body.replace(b'"format": 1', b'"format": 9'))


def _other_owner(content: bytes) -> bytes:
    other = str(ids.uuid7()).encode()
    at = content.index(b'"organization": "') + len(b'"organization": "')
    return content[:at] + other + content[at + len(other) :]


def _part_left_out(content: bytes) -> bytes:
    return _rewritten(content, lambda name, body: None if name.endswith("/00000003") else body)


def _without_manifest(content: bytes) -> bytes:
    return _rewritten(content, lambda name, body: None if name == archive.MANIFEST else body)


def _rewritten(content: bytes, change) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(content)) as old, tarfile.open(fileobj=made, mode="w") as new:
        for member in old:
            extracted = old.extractfile(member)
            assert extracted is not None
            body = change(member.name, extracted.read())
            if body is not None:
                info = tarfile.TarInfo(member.name)
                info.size = len(body)
                new.addfile(info, io.BytesIO(body))
    return made.getvalue()


def test_what_is_not_a_whole_backup_is_refused_and_nothing_changes(
    owner: LiveDatabase, org_a: OrganizationContext, people: list[UUID], tmp_path: Path
) -> None:
    whole = backed_up(org_a, tmp_path / "a.ksb").read_bytes()
    drop_schema(org_a.schema_name)
    cases = {
        "cut": (_cut, "cut off|too early|changed"),
        "flipped": (_flip, "changed|not a backup"),
        "format": (_other_format, "format 9"),
        "owner": (_other_owner, "does not open"),
        "part": (_part_left_out, "missing or out of place"),
        "manifest": (_without_manifest, "cut off"),
        "empty": (lambda _: b"", "not a backup"),
        "noise": (lambda _: b"noise" * 1000, "not a backup"),
    }
    for name, (change, reason) in cases.items():
        file = tmp_path / name
        file.write_bytes(change(whole))
        with pytest.raises(archive.ArchiveRefusedError, match=reason):
            services.request_restore(by=SYSTEM, location=str(file))
    with public_schema():
        assert not Flow.objects.filter(kind=FlowKind.RESTORE).exists()
    assert row_of(org_a).schema_name == org_a.schema_name
    # The honest file beside them is taken.
    run(services.request_restore(by=SYSTEM, location=str(tmp_path / "a.ksb")))


def test_a_newer_or_unknown_release_is_refused_and_an_older_one_is_migrated(
    owner: LiveDatabase, org_a: OrganizationContext, people: list[UUID], tmp_path: Path
) -> None:
    with psycopg.connect(owner.owner_url, autocommit=True) as raw:
        raw.execute(
            "UPDATE public.organizations_organization SET schema_fingerprint = %s WHERE id = %s", ["f" * 64, org_a.id]
        )
        file = backed_up(org_a, tmp_path / "unknown.ksb")
        with pytest.raises(archive.ArchiveRefusedError, match="newer or unknown release"):
            services.request_restore(by=SYSTEM, location=str(file), mode=services.Mode.AS_COPY)
        # An older release: one without the last migration, which adds no column.
        app, name = LATER
        raw.execute(f"DELETE FROM {org_a.schema_name}.django_migrations WHERE (app, name) = (%s, %s)", [app, name])
        have = raw.execute(f"SELECT app, name FROM {org_a.schema_name}.django_migrations").fetchall()
        older = schemas.fingerprint_of((app, name) for app, name in have)
        raw.execute(
            "UPDATE public.organizations_organization SET schema_fingerprint = %s WHERE id = %s", [older, org_a.id]
        )
    file = backed_up(org_a, tmp_path / "older.ksb")
    run(services.request_restore(by=SYSTEM, location=str(file), mode=services.Mode.AS_COPY))
    row = row_of(org_a)
    assert row.schema_fingerprint == schemas.fingerprint()
    with psycopg.connect(owner.owner_url) as raw:
        assert raw.execute(
            f"SELECT count(*) FROM {row.schema_name}.django_migrations WHERE (app, name) = (%s, %s)", LATER
        ).fetchone() == (1,)
    with organization(row.context()):
        assert Person.objects.count() == PEOPLE


def test_the_command_line_backs_up_verifies_restores_and_says_what_to_do(
    owner: LiveDatabase,
    org_a: OrganizationContext,
    people: list[UUID],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def keystead(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["keystead", *arguments])
        try:
            cli.main()
            status = 0
        except SystemExit as left:
            status = int(left.code or 0)
        said = capsys.readouterr()
        return status, said.out.strip(), said.err.replace("\n", " ")

    file = str(tmp_path / "a.ksb")
    status, said, steps = keystead("org", "backup", "org-a", "--to", file)
    assert (status, said) == (0, file), steps
    assert "write: done" in steps
    status, _, error = keystead("org", "backup", "org-a", "--to", file)
    assert (status, "never overwritten" in error) == (1, True)
    status, blob, error = keystead("org", "backup", "org-a")
    assert (status, blob.startswith("blob:backups/")) == (0, True), error
    assert "intact" in keystead("org", "verify-backup", blob)[1]
    assert "complete" in keystead("org", "backups", "org-a")[1]
    status, _, error = keystead("org", "restore", file)
    assert (status, "--as-copy" in error) == (1, True)
    status, said, error = keystead("org", "restore", blob, "--as-copy")
    assert (status, said) == (0, "org-a is restored and active."), error
    assert "drop-superseded org-a" in error
    assert "ks_o_test_a dropped" in keystead("org", "drop-superseded", "org-a")[2]
    status, _, error = keystead("org", "restore", str(tmp_path / "nothing"))
    assert (status, "No such file" in error) == (1, True)


def test_a_resume_does_not_open_what_is_being_restored(
    owner: LiveDatabase, org_a: OrganizationContext, people: list[UUID], tmp_path: Path
) -> None:
    file = backed_up(org_a, tmp_path / "a.ksb")
    drop_schema(org_a.schema_name)
    flow = services.request_restore(by=SYSTEM, location=str(file))
    with public_schema(), pytest.raises(suspension.RestoreOpenError):
        offboarding.request(organization_id=org_a.id, reason="x", by=operators.operator(Role.ADMIN).principal)
    while flow.step != "settle":
        advance_one(flow)
    with public_schema(), pytest.raises(suspension.RestoreOpenError):
        suspension.resume(organization_id=org_a.id, reason="why not", by=make.STAFF)


def test_what_was_suspended_while_its_copy_was_loaded_stays_so(
    owner: LiveDatabase, org_a: OrganizationContext, people: list[UUID], tmp_path: Path
) -> None:
    file = backed_up(org_a, tmp_path / "a.ksb")
    flow = services.request_restore(by=SYSTEM, location=str(file), mode=services.Mode.AS_COPY)
    with public_schema():
        suspension.suspend(organization_id=org_a.id, reason="x", by=SYSTEM)
    run(flow)
    assert row_of(org_a).status == "suspended"


def test_nothing_is_closed_or_tombstones_opened_behind_an_offboarding(
    owner: LiveDatabase, org_a: OrganizationContext, people: list[UUID], tmp_path: Path
) -> None:
    """The two exclude each other; where one slips through all the same, the row stays what it is."""
    file = backed_up(org_a, tmp_path / "a.ksb")
    flow = services.request_restore(by=SYSTEM, location=str(file), mode=services.Mode.AS_COPY)
    with public_schema():
        Organization.objects.filter(id=org_a.id).update(status="offboarding")
    with pytest.raises(organizations.OrganizationGoneError):
        run(flow)
    assert row_of(org_a).status == "offboarding"


def test_operators_start_backups_and_list_them(owner: LiveDatabase, org_a: OrganizationContext) -> None:
    admin, support = operators.operator(Role.ADMIN).client(), operators.operator(Role.SUPPORT).client()
    path = f"/v1/organizations/{ids.encode('org', org_a.id)}/backups"
    assert support.post(path).status_code == 403
    made = admin.post(path)
    assert (made.status_code, made.json()["status"]) == (202, "running"), made.content
    again = admin.post(path)
    assert (again.status_code, again.json()["code"]) == (409, "flow_under_way")
    with public_schema():
        flow = Flow.objects.get(kind=FlowKind.BACKUP)
    run(flow)
    with CaptureQueriesContext(connection) as one:
        (shown,) = support.get(path).json()["data"]
    assert (shown["id"], shown["status"], len(shown["sha256"])) == (made.json()["id"], "complete", 64)
    run_again = admin.post(path)
    assert run_again.status_code == 202
    with CaptureQueriesContext(connection) as two:
        assert len(support.get(path).json()["data"]) == 2
    assert len(two) == len(one)
    assert admin.get(f"/v1/organizations/{ids.encode('org', ids.uuid7())}/backups").status_code == 404


def test_what_needs_a_file_of_this_machine_is_left_to_this_machine(
    owner: LiveDatabase, org_a: OrganizationContext, tmp_path: Path
) -> None:
    def sent() -> int:
        return sum(depth.waiting for depth in claims.depths() if depth.queue == "archives")

    backed_up(org_a, tmp_path / "a.ksb")
    assert sent() == 0
    row = row_of(org_a)
    with public_schema():
        services.request_backup(by=SYSTEM, organization=row)
    assert sent() == 1
