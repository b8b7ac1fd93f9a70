"""The end of an organization: two operators, a grace period, and what is left (tests/chaos kills it at every step)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.db import IntegrityError, transaction
from django.test import override_settings
from rest_framework.test import APIClient

from engine import ids
from engine.blobs.store import open_store
from engine.principals import SYSTEM, Principal
from engine.tenancy import directory
from engine.tenancy.context import OrganizationContext, public_schema
from provisioning import archive, certificates, destruction, flows, offboarding, services
from provisioning.models import Flow, FlowKind, FlowStatus, Offboarding
from provisioning.rules import DONE
from shared.operators import services as operators
from shared.organizations.models import Organization
from tests.conftest import client_of
from tests.e2e.targets import PLATFORM_HOST, operator_token
from tests.factories.access import PASSWORD
from tests.factories.operators import code_of
from tests.harness import environment
from tests.harness.live import LiveDatabase
from tests.harness.matcher import RunningMatcher, running_matcher

pytestmark = pytest.mark.xdist_group("provisioning")

ADA, BOB = (Principal(kind="operator", id=ids.uuid7(), display=f"{name}@ops.example") for name in ("ada", "bob"))
BECAUSE = {"reason": "the contract has ended"}


@pytest.fixture
def matcher(live_db: LiveDatabase, tmp_path: Path) -> Iterator[RunningMatcher]:
    with (
        running_matcher(database_url=live_db.app_url, log=tmp_path / "matcher.log") as running,
        override_settings(MATCHER_URL=running.url),
    ):
        yield running


def operator() -> APIClient:
    return APIClient(HTTP_HOST=PLATFORM_HOST, HTTP_AUTHORIZATION=f"Bearer {operator_token()}")


def path_of(org: OrganizationContext, verb: str) -> str:
    return f"/v1/organizations/{ids.encode('org', org.id)}/{verb}"


def test_it_takes_two_operators_and_can_be_cancelled(db: None, org_a: OrganizationContext) -> None:
    one, other, host = operator(), operator(), client_of(org_a)
    start = path_of(org_a, "offboarding")
    approve, cancel = f"{start}/approve", f"{start}/cancel"
    assert one.get(start).status_code == 404
    assert other.post(approve).json()["code"] == "no_offboarding"
    assert one.post(start, BECAUSE).json()["approved_at"] is None
    assert other.post(start, BECAUSE).json()["code"] == "offboarding_requested"
    assert one.post(approve).json()["code"] == "second_operator_required"
    assert host.get("/.well-known/jwks.json").status_code == 200
    approved = other.post(approve).json()
    assert approved["approved_by"] != approved["requested_by"]
    assert host.get("/.well-known/jwks.json").json()["code"] == "organization_suspended"
    assert one.post(path_of(org_a, "resume"), BECAUSE).json()["code"] == "offboarding_open"
    assert one.post(approve).json()["code"] == "offboarding_approved"
    assert one.post(cancel, BECAUSE).json()["cancelled_at"] is not None
    assert host.get("/.well-known/jwks.json").status_code == 200
    assert one.post(start, BECAUSE).json()["certificate"] == ""


def test_the_database_itself_wants_two_operators(db: None, org_a: OrganizationContext) -> None:
    with public_schema():
        offboarding.request(organization_id=org_a.id, reason="x", by=ADA)
        found = offboarding.approve(organization_id=org_a.id, by=BOB)
        with pytest.raises(IntegrityError, match="offboarding_two_operators"), transaction.atomic():
            Offboarding.objects.filter(id=found.id).update(approved_by=found.requested_by)
        with pytest.raises(offboarding.OperatorRequiredError):
            offboarding.cancel(organization_id=org_a.id, reason="x", by=Principal(kind="system", id=ids.uuid7()))


def test_until_the_grace_period_is_over_the_flow_waits_and_can_be_cancelled(
    live_db: LiveDatabase, org_a: OrganizationContext
) -> None:
    with public_schema():
        found = offboarding.request(organization_id=org_a.id, reason="x", by=ADA)
    with live_db.as_owner():
        waiting = flows.advance(flow_id=found.flow_id)
        assert (waiting.step, waiting.status, waiting.due_at) == ("approval", FlowStatus.WAITING, None)
        with public_schema():
            approved = offboarding.approve(organization_id=org_a.id, by=BOB)
        waiting = flows.advance(flow_id=found.flow_id)
        assert (waiting.step, waiting.status, waiting.due_at) == ("grace", FlowStatus.WAITING, approved.grace_ends_at)
        with public_schema():
            offboarding.cancel(organization_id=org_a.id, reason="x", by=ADA)
        assert flows.advance(flow_id=found.flow_id).status == FlowStatus.CANCELLED
    with public_schema():
        assert Organization.objects.get(id=org_a.id).status == "active"


# Names that sound like something that must not leave; those after it are known not to be.
_SOUNDS_SECRET = re.compile(
    r"secret|password|token|hash|sealed|wrapped|nonce|digest|pin|code|key|signature|probe|vector"
)
_HARMLESS = {
    "charge_key",
    "close_code",
    "code",
    "failure_code",
    "hash",
    "key",
    "place_key",
    "previous_hash",
    "probe_age_max_s",
    "public_key",
    "refusal_code",
    "sealed_at",
    "secret_rotated_at",
    "token",
}


def test_no_column_that_sounds_secret_is_exported() -> None:
    exported = {(table, column) for table, model in archive.tables().items() for column in archive.columns(model)}
    assert {column for _, column in exported if _SOUNDS_SECRET.search(column)} == _HARMLESS
    assert {"identity_person", "payments_payment", "payments_transfer", "audit_entry", "events_event"} <= {
        table for table, _ in exported
    }


def test_a_role_that_another_database_uses_stops_it_with_a_reason(
    live_db: LiveDatabase, org_a: OrganizationContext
) -> None:
    """The template database has the same organization: as a restored copy would."""
    with live_db.as_owner():
        destruction.drop_schema(schema=org_a.schema_name)
        destruction.drop_schema(schema=org_a.schema_name)
        with pytest.raises(destruction.RoleInUseError):
            destruction.drop_role(role=org_a.role_name)


def test_a_certificate_of_nobody_is_none() -> None:
    signed = certificates.sign({"organization": "x"})
    key = certificates.platform_key().public_key()
    assert certificates.verify(signed, public_keys=[key]) == {"organization": "x"}
    head, body, signature = signed.split(".")
    for forged in (f"{head}.{body[:-2]}AA.{signature}", f"{head}.{body}.{signature[:-4]}AAAA", "nonsense", "a.b.c"):
        with pytest.raises(certificates.CertificateInvalidError):
            certificates.verify(forged, public_keys=[key])
    from engine import service_tokens

    claims = service_tokens.OrganizationClaims(id=ids.uuid7(), schema_name="x", role_name="y")
    token = service_tokens.mint(private_key=certificates.platform_key(), audience="matcher", organization=claims)
    with pytest.raises(certificates.CertificateInvalidError, match="something else"):
        certificates.verify(token, public_keys=[key])


def test_from_the_command_line_to_the_certificate(live_db: LiveDatabase, matcher: RunningMatcher) -> None:
    child = {
        **live_db.environment(owner=True),
        "KEYSTEAD_MATCHER_URL": matcher.url,
        "KEYSTEAD_OFFBOARDING_GRACE_HOURS": "0",
    }

    def keystead(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "config.cli", *arguments]
        return subprocess.run(
            command, cwd=environment.ROOT, env=child, capture_output=True, text=True, check=False, timeout=120
        )

    row = _made(live_db, "leaving")
    held = _superseded(live_db, row)
    with public_schema():
        ada, bob = (
            operators.create(email=who.display, password=PASSWORD, role="admin", by=SYSTEM) for who in (ADA, BOB)
        )
    as_ada = ("--operator", ADA.display, "--code")
    as_bob = ("--operator", BOB.display, "--code")
    for verb in ("suspend", "resume"):
        done = keystead("org", verb, "leaving", "--reason", "x", "--operator", ADA.display)
        assert done.returncode == 0, done.stderr
    nobody = keystead("org", "offboard", "leaving", "--reason", "x", "--operator", "nobody@ops.example", "--code", "1")
    assert (nobody.returncode, "keystead operator list" in nobody.stderr) == (1, True)
    asked = keystead(
        "org", "offboard", "leaving", "--reason", "the contract has ended", *as_ada, code_of(ada.otpauth_url)
    )
    assert (asked.returncode, "--approve" in asked.stderr) == (0, True), asked.stderr
    alone = keystead("org", "offboard", "leaving", "--approve", *as_ada, ada.recovery_codes[0])
    assert (alone.returncode, "Another operator" in alone.stderr) == (1, True)
    pretended = keystead("org", "offboard", "leaving", "--approve", *as_bob, ada.recovery_codes[1])
    assert (pretended.returncode, "one-time code" in pretended.stderr) == (1, True)
    agreed = keystead("org", "offboard", "leaving", "--approve", *as_bob, bob.recovery_codes[0])
    assert "leaving is gone" in agreed.stderr, agreed.stderr
    checked = keystead("org", "certificate", "leaving", "--verify")
    assert (checked.returncode, "nothing of the organization is left" in checked.stderr) == (0, True), checked.stderr
    said = json.loads(checked.stdout)
    assert said["requested_by"]["display"] == ADA.display
    assert said["approved_by"]["display"] == BOB.display
    directory.forget()
    assert client_of(row.context()).get("/.well-known/jwks.json").json()["code"] == "unknown_host"
    with public_schema():
        assert not Flow.objects.filter(parameters__has_key="admin_email").exists()
    _nothing_secret_left(said["archive"]["manifest"])
    assert (said["destroyed"]["schemas"], said["destroyed"]["roles"]) == (held.schemas, held.roles)
    with live_db.as_owner():
        assert destruction.remains(held) == []
    invited = keystead("org", "invite", "leaving", "--email", "owner@life.example")
    assert (invited.returncode, "leaving is offboarded" in invited.stderr) == (1, True)


def _made(live_db: LiveDatabase, slug: str) -> Organization:
    birth = services.Birth(slug=slug, name=slug, plan_code="standard", admin_email="owner@life.example")
    with live_db.as_owner():
        with public_schema():
            flow = services.request_organization(birth=birth)
        return flows.advance(flow_id=flow.id).organization


def _superseded(live_db: LiveDatabase, row: Organization) -> destruction.Holdings:
    """What a restore has taken out of use, and what another has not finished, besides what lives."""
    unfinished, superseded = (f"ks_o_{what}_{row.id.hex[-12:]}" for what in ("unfinished", "superseded"))
    with psycopg.connect(live_db.owner_url, autocommit=True) as owner:
        for name, old, status in ((superseded, "old_", FlowStatus.SUCCEEDED), (unfinished, "", FlowStatus.CANCELLED)):
            parameters = {f"{old}schema": name, f"{old}role": name}
            owner.execute(f"CREATE SCHEMA {name}")
            owner.execute(f"CREATE ROLE {name}")
            owner.execute(f"CREATE TABLE {name}.access_signingkey (key text)")
            with public_schema():
                Flow.objects.create(
                    kind=FlowKind.RESTORE, organization=row, status=status, step=DONE, parameters=parameters
                )
    with public_schema():
        held = destruction.holdings(row)
    assert {superseded, unfinished, row.schema_name} == set(held.schemas)
    with live_db.as_owner():
        assert len(destruction.remains(held)) == 6
    return held


def _nothing_secret_left(manifest: str) -> None:
    store = open_store(settings.BLOB_URL)
    listed = json.loads(store.read(manifest))["tables"]
    content = b"".join(store.read(part["name"]) for entry in listed.values() for part in entry["parts"])
    assert b"owner@life.example" in content
    for secret in (b"argon2", b"wrapped", b"sealed", b"token_hash", b"client_secret"):
        assert secret not in content
