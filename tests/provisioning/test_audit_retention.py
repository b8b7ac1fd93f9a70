"""Old audit entries leave by the owner's hand alone, and what remains still verifies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from django.conf import settings
from django.db import ProgrammingError, connection, transaction

from config.commands.audit import audit as commands
from engine import ids, outbox
from engine.blobs.store import open_store
from engine.chain.walk import Point
from engine.clock import utc_now
from engine.outbox.messages import Message
from engine.principals import SYSTEM
from engine.tenancy.context import OrganizationContext, organization, owner_schema, relay_schema
from provisioning import audit_retention, schemas, tasks
from tenants.audit import exports, retention, services
from tenants.audit.models import Entry
from tests.factories import access
from tests.harness.live import LiveDatabase

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def _write(org: OrganizationContext, count: int, *, at: datetime) -> None:
    with organization(org):
        for number in range(count):
            with transaction.atomic():
                services.write(action="thing.make", actor=SYSTEM, resource=f"thg_{number}", clock=lambda: at)
        services.seal()


def _run(*arguments: str) -> Any:
    return CliRunner().invoke(commands, arguments)


@pytest.fixture
def aged(live_db: LiveDatabase, org_a: OrganizationContext) -> OrganizationContext:
    """Numbers 1 to 6 are old, 7 and 8 are not, and the organization keeps 90 days."""
    _write(org_a, 6, at=LONG_AGO)
    _write(org_a, 1, at=utc_now() - timedelta(days=89))
    with organization(org_a):
        retention.set_retention(days=90, by=SYSTEM)
        services.seal()
    return org_a


def test_what_leaves_and_what_remains_verify_together(
    live_db: LiveDatabase, aged: OrganizationContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted, sixth = _run("verify", aged.slug).stdout.strip(), _point(aged, 6)
    monkeypatch.setattr(retention, "PART_MAX", 4)
    with live_db.as_owner():
        assert "6 entries left" in _run("release", aged.slug).output
        assert "0 entries left" in _run("release", aged.slug).output
    told = _run("verify", aged.slug, "--head", noted)
    assert (told.exit_code, told.stdout[:3]) == (0, "10:")
    assert _run("verify", aged.slug, "--head", str(sixth)).exit_code == 0
    assert "left with older entries" in _run("verify", aged.slug, "--head", f"3:{'0' * 64}").output
    with organization(aged):
        released = [one.detail for one in Entry.objects.filter(action=exports.RELEASED).order_by("id")]
    assert [(one["through"], one["entries"]) for one in released] == [(4, 4), (6, 2)]
    files = [tmp_path / f"{one['through']}.ndjson" for one in released]
    for file, one in zip(files, released, strict=True):
        file.write_bytes(open_store(settings.BLOB_URL).read(one["export"].removeprefix("blob:")))
    rest = tmp_path / "rest.ndjson"
    with organization(aged):
        rest.write_bytes(b"".join(services.export(after=6, by=SYSTEM)))
    whole = _run("verify-export", *map(str, [*files, rest]))
    assert (whole.exit_code, whole.stdout) == (0, told.stdout)


def test_a_row_more_than_the_log_says_is_noticed(live_db: LiveDatabase, aged: OrganizationContext) -> None:
    with live_db.as_owner():
        audit_retention.release(context=aged)
        with owner_schema(aged.schema_name):
            retention.drop(through=Point(7, b""))
    assert "broken at 1: numbers 1 to 7 are missing" in " ".join(_run("verify", aged.slug).output.split())


def test_whoever_is_stopped_before_the_drop_is_followed(
    live_db: LiveDatabase, aged: OrganizationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(**_: Any) -> Any:
        raise Killed

    for name in ("tell", "drop"):
        with live_db.as_owner(), monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(retention, name, killed)
            audit_retention.release(context=aged)
        assert _run("verify", aged.slug).exit_code == 0
    with live_db.as_owner():
        assert audit_retention.release(context=aged) == 6
    with organization(aged):
        assert Entry.objects.filter(action=exports.RELEASED).count() == 1
    assert _run("verify", aged.slug).exit_code == 0


def test_nothing_is_dropped_when_its_export_does_not_verify(live_db: LiveDatabase, aged: OrganizationContext) -> None:
    with organization(aged):
        part = retention.due()
        assert part is not None
        lines = list(retention.export(part))
        open_store(settings.BLOB_URL).write(part.name, b"".join(lines[:-1]))
    with live_db.as_owner(), pytest.raises(audit_retention.ExportDoesNotVerifyError):
        audit_retention.release(context=aged)
    with organization(aged):
        assert Entry.objects.filter(resource="thg_0", created_at=LONG_AGO).exists()


def test_an_entry_that_claims_a_release_drops_nothing_without_its_export(
    live_db: LiveDatabase, aged: OrganizationContext
) -> None:
    """The organization's role may write any entry, so injected SQL could write this one."""
    seventh = _point(aged, 7)
    with organization(aged), transaction.atomic():
        services.write(
            action=exports.RELEASED,
            actor=SYSTEM,
            resource=ids.encode("org", aged.id),
            detail={"through": 7, "hash": seventh.hash.hex(), "entries": 7, "export": "blob:x", "sha256": "0" * 64},
        )
    with organization(aged):
        services.seal()
    with live_db.as_owner(), pytest.raises(audit_retention.ExportDoesNotVerifyError):
        audit_retention.release(context=aged)
    assert _run("verify", aged.slug).stdout[:2] == "9:"
    with organization(aged):
        assert Entry.objects.filter(resource="thg_0", created_at=LONG_AGO).exists()


def test_a_restored_log_is_asked_again_once_a_day(aged: OrganizationContext) -> None:
    with organization(aged), transaction.atomic():
        retention.resume()
    with relay_schema(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM outbox_message WHERE name = %s AND org_role = %s", [retention.RELEASE, aged.role_name]
        )
        # The choice's own, and this one.
        assert cursor.fetchone() == (2,)


def test_an_organizations_own_role_may_not_drop(live_db: LiveDatabase, aged: OrganizationContext) -> None:
    with organization(aged), pytest.raises(ProgrammingError, match="permission denied"):
        retention.drop(through=Point(6, b""))
    assert isinstance(_run("release", aged.slug).exception, schemas.OwnerLoginMissingError)


def test_the_daily_message_ends_with_the_choice_that_it_came_of(
    live_db: LiveDatabase, aged: OrganizationContext
) -> None:
    def run(generation: int) -> None:
        message = Message(
            ids.uuid7(), retention.RELEASE, {"generation": str(generation)}, created_at=utc_now(), attempt=1
        )
        with live_db.as_owner(), organization(aged):
            tasks.release_audit(message=message)

    run(0)
    assert _run("verify", aged.slug).stdout[:2] == "8:"
    with pytest.raises(outbox.Postpone):
        run(1)
    assert _run("verify", aged.slug).stdout[:2] == "9:"


def _point(org: OrganizationContext, sequence: int) -> Point:
    with organization(org):
        (link,) = services.LOG.links(after=sequence - 1, through=sequence)
    return Point(sequence, link.hash)


def test_the_owner_chooses(org_a: OrganizationContext, http_a: Any) -> None:
    owner = access.signed_in(http_a, access.member_token(org_a))
    assert owner.get("/v1/audit-settings").json() == {"retention_days": None}
    assert owner.put("/v1/audit-settings", {"retention_days": 365}).json() == {"retention_days": 365}
    (entry,) = owner.get("/v1/audit-entries?action=audit.retention_changed").json()["data"]
    assert entry["detail"] == {"before": None, "after": 365}
    assert owner.put("/v1/audit-settings", {"retention_days": 89}).status_code == 400
    admin = access.signed_in(http_a, access.member_token(org_a, "admin"))
    assert admin.get("/v1/audit-settings").json() == {"retention_days": 365}
    assert admin.put("/v1/audit-settings", {"retention_days": 365}).status_code == 403
