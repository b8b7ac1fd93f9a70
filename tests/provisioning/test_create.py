"""An organization's birth: durable steps, one winner, and the same organization after kill -9 at any step."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.test import override_settings

from engine.errors import InvalidInput
from engine.tenancy.context import organization, public_schema
from provisioning import flows, services
from provisioning.models import Flow, FlowKind, FlowStatus
from provisioning.steps import STEPS
from shared.organizations.models import Organization
from shared.organizations.rules import RESERVED_SLUGS, slug_problem
from tests.harness import environment
from tests.harness.live import LiveDatabase
from tests.harness.matcher import RunningMatcher, running_matcher

pytestmark = pytest.mark.xdist_group("provisioning")

CREATE_STEPS = tuple(STEPS[FlowKind.CREATE])


@pytest.fixture
def matcher(live_db: LiveDatabase, tmp_path: Path) -> Iterator[RunningMatcher]:
    with (
        running_matcher(database_url=live_db.app_url, log=tmp_path / "matcher.log") as running,
        override_settings(MATCHER_URL=running.url),
    ):
        yield running


def birth(slug: str = "acme", **changes: Any) -> services.Birth:
    values = {"slug": slug, "name": "Acme", "plan_code": "standard", "admin_email": "owner@acme.example"}
    return services.Birth(**{**values, **changes})


def requested(**changes: Any) -> Flow:
    with public_schema():
        return services.request_organization(birth=birth(**changes))


def test_it_ends_active_with_keys_and_an_invited_owner(live_db: LiveDatabase, matcher: RunningMatcher) -> None:
    told: list[tuple[str, str]] = []
    with live_db.as_owner():
        flow = requested()
        done = flows.advance(flow_id=flow.id, progress=lambda step, state: told.append((step, state)))
    assert done.status == FlowStatus.SUCCEEDED
    assert [step for step, state in told if state == "done"] == list(CREATE_STEPS)
    row = done.organization
    with public_schema():
        row.refresh_from_db()
    assert row.status == "active"
    with organization(row.context()):
        from shared.accounts.models import User
        from tenants.keyring.models import OrganizationKey

        assert set(OrganizationKey.objects.values_list("purpose", flat=True)) == {"biometric", "documents", "secrets"}
        assert list(User.objects.values_list("email", flat=True)) == ["owner@acme.example"]


@pytest.mark.parametrize("step", CREATE_STEPS)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_kill_9_at_any_step_and_go_on(live_db: LiveDatabase, matcher: RunningMatcher, step: str, moment: str) -> None:
    flow = requested()
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(flow.id), step, moment],
        cwd=environment.ROOT,
        env={**live_db.environment(owner=True), "KEYSTEAD_MATCHER_URL": matcher.url},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    with public_schema():
        assert Flow.objects.get(id=flow.id).status == FlowStatus.RUNNING
    with live_db.as_owner():
        finished = flows.advance(flow_id=flow.id)
    assert finished.status == FlowStatus.SUCCEEDED
    assert finished.organization_id == flow.organization_id
    with organization(finished.organization.context()):
        from shared.accounts.models import User
        from tenants.access.models import Grant
        from tenants.keyring.models import OrganizationKey

        assert OrganizationKey.objects.count() == 3
        assert User.objects.count() == 1
        assert Grant.objects.filter(role="owner").count() == 1


_KILLED = textwrap.dedent(
    """
    import os, signal, sys
    from uuid import UUID
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django
    django.setup()
    from provisioning import flows
    from provisioning.models import FlowKind
    flow, step, moment = UUID(sys.argv[1]), sys.argv[2], sys.argv[3]
    real = flows.STEPS[FlowKind.CREATE][step]
    def deadly(row):
        if moment == "after":
            real(row)
        os.kill(os.getpid(), signal.SIGKILL)
    flows.STEPS[FlowKind.CREATE] = {**flows.STEPS[FlowKind.CREATE], step: deadly}
    flows.advance(flow_id=flow)
    """
)


def test_of_two_creates_at_one_instant_one_wins(live_db: LiveDatabase) -> None:
    def attempt(_: int) -> str:
        try:
            requested()
        except services.SlugTakenError:
            return "taken"
        finally:
            connections.close_all()
        return "made"

    with ThreadPoolExecutor(4) as threads:
        outcomes = sorted(threads.map(attempt, range(4)))
    assert outcomes == ["made", "taken", "taken", "taken"]
    with public_schema():
        assert Organization.objects.filter(slug="acme").count() == 1


def test_two_runners_never_run_one_flow_together(live_db: LiveDatabase) -> None:
    with live_db.as_owner():
        flow = requested()
        with flows._sole_runner(flow.id), pytest.raises(flows.FlowBusyError):
            flows.advance(flow_id=flow.id)


def test_a_matcher_that_is_away_stops_the_flow_before_its_step_and_loses_nothing(live_db: LiveDatabase) -> None:
    with live_db.as_owner():
        flow = requested()
        with override_settings(MATCHER_URL="http://127.0.0.1:1"), pytest.raises(Exception, match="unavailable"):
            flows.advance(flow_id=flow.id)
    with public_schema():
        stopped = Flow.objects.get(id=flow.id)
        assert (stopped.step, stopped.status, stopped.attempts) == ("keys", FlowStatus.RUNNING, 1)
        assert "unavailable" in stopped.last_error
        assert Organization.objects.get(id=flow.organization_id).status == "provisioning"


@pytest.mark.parametrize(
    ("slug", "reason"),
    [
        ("ab", "characters"),
        ("x" * 41, "characters"),
        ("Acme", "lower case"),
        ("ácme", "letters a to z"),
        ("1acme", "start with a letter"),
        ("acme-", "end with a letter"),
        ("ac--me", "single hyphens"),
        ("ac_me", "start with a letter"),
        ("admin", "reserved"),
        ("hooks", "reserved"),
        ("platform", "reserved"),
    ],
)
def test_slugs_that_cannot_be_are_refused_with_the_reason(db: None, slug: str, reason: str) -> None:
    with pytest.raises(services.InvalidSlugError, match=reason) as refused:
        requested(slug=slug)
    assert refused.value.field == "slug"


@pytest.mark.parametrize("slug", ["acme", "a1c", "acme-2", "x" * 40])
def test_slugs_that_can_be(slug: str) -> None:
    assert slug_problem(slug) is None


def test_every_reserved_name_would_otherwise_be_a_slug_or_cannot_be_one() -> None:
    assert {"www", "api", "admin", "hooks", "platform"} <= RESERVED_SLUGS
    assert all(slug_problem(name) for name in RESERVED_SLUGS)


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"plan_code": "gold"}, services.UnknownPlanError, "plan"),
        ({"time_zone": "Mars/Olympus"}, services.InvalidBirthDetailError, "time_zone"),
        ({"time_zone": "../etc/passwd"}, services.InvalidBirthDetailError, "time_zone"),
        ({"environment": "staging"}, services.InvalidBirthDetailError, "environment"),
        ({"currency": "euro"}, services.InvalidBirthDetailError, "currency"),
        ({"admin_email": "nonsense"}, InvalidInput, "admin_email"),
        ({"name": "x" * 121}, InvalidInput, "name"),
        ({"locale": "x" * 17}, InvalidInput, "locale"),
    ],
)
def test_what_can_never_change_is_checked_at_birth(
    db: None, changes: dict[str, str], error: type[Exception], field: str
) -> None:
    with pytest.raises(error) as refused:
        requested(**changes)
    assert getattr(refused.value, "field", None) == field
    with public_schema():
        assert not Organization.objects.filter(slug="acme").exists()


def test_the_command_line_makes_lists_and_shows(live_db: LiveDatabase, matcher: RunningMatcher) -> None:
    child = {**live_db.environment(owner=True), "KEYSTEAD_MATCHER_URL": matcher.url}

    def keystead(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "config.cli", *arguments],
            cwd=environment.ROOT,
            env=child,
            capture_output=True,
            text=True,
            check=False,
        )

    made = keystead("org", "create", "acme", "--plan", "standard", "--admin-email", "owner@acme.example")
    assert made.returncode == 0, made.stderr
    assert all(f"{step}: done" in made.stderr for step in CREATE_STEPS)
    shown = json.loads(keystead("org", "show", "acme").stdout)
    assert (shown["slug"], shown["status"]) == ("acme", "active")
    assert "acme" in keystead("org", "list").stdout
    again = keystead("org", "create", "acme", "--plan", "standard", "--admin-email", "owner@acme.example")
    assert again.returncode == 1
    assert "taken" in again.stderr
    unknown = keystead("org", "show", "nobody")
    assert (unknown.returncode, "keystead org list" in unknown.stderr) == (1, True)
    for purpose in ("biometric", "secrets"):
        rotated = keystead("org", "rotate-keys", "acme", "--purpose", purpose)
        assert "version 2 is active" in rotated.stdout, rotated.stderr
    key = keystead("org", "rotate-signing-key", "acme")
    assert key.stdout.startswith("acme: key "), key.stderr
    assert keystead("org", "rotate-signing-key", "acme").stdout == key.stdout
    invited = keystead("org", "invite", "acme", "--email", "owner@acme.example")
    assert invited.stdout.startswith("http://acme.")
    without_owner = subprocess.run(
        [
            sys.executable,
            "-m",
            "config.cli",
            "org",
            "create",
            "beta",
            "--plan",
            "standard",
            "--admin-email",
            "x@y.example",
        ],
        cwd=environment.ROOT,
        env=live_db.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert without_owner.returncode == 1
    assert "KEYSTEAD_OWNER_DATABASE_URL" in without_owner.stderr


def test_fixed_details_are_columns_that_only_a_birth_writes(live_db: LiveDatabase) -> None:
    """The platform's role itself may not change them: the grant leaves those columns out."""
    with psycopg.connect(live_db.app_url, autocommit=True) as app:
        app.execute("SET ROLE ks_platform")
        app.execute("SET search_path TO public")
        for column in Organization.FIXED:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(f"UPDATE organizations_organization SET {column} = {column}")
        app.execute("UPDATE organizations_organization SET name = name")
