"""kill -9 of whoever makes or ends an organization, at every step: `make chaos NAME=provisioning`.

Flows run in processes of their own, which are killed before a step's act, after it (so that the act has
happened and the cursor does not know), and somewhere in the middle. Somebody else goes on. Afterwards the
organization is the one that was asked for, complete, with one set of keys; or nothing of it is left but a
row, its hosts, its archive and one certificate. SEED=n repeats the choices of a run; ROUNDS=n its size.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from tests.chaos.report import Report, seed
from tests.chaos.victims import AFTER, BEFORE, Victims, victims
from tests.harness.live import LiveDatabase

KILLED = -9
PURPOSES = ["biometric", "documents", "secrets"]
MIDDLE_MS_MAX = 60


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it."""

    rounds: int
    """Organizations, each of which is killed before and after every step of both flows."""
    middles: int
    """Further deaths of each, somewhere in the middle of a step."""


@dataclass(slots=True)
class Run:
    """What happened, and what was found wrong."""

    database: LiveDatabase
    victims: Victims
    chance: random.Random
    tell: Callable[[str], None]
    deaths: Counter[str] = field(default_factory=Counter)
    faults: dict[str, list[str]] = field(default_factory=lambda: {"create": [], "offboard": [], "certificate": []})

    def survive(self, kind: str, flow_id: UUID, steps: list[str], middles: int) -> None:
        """Kill the flow at every step of `steps`, and let it end."""
        for step in steps:
            moments = [BEFORE, AFTER, *(str(self.chance.randint(1, MIDDLE_MS_MAX)) for _ in range(middles))]
            self.chance.shuffle(moments)
            # After its act too the cursor still stands before the step, so each death meets the same one.
            for moment in moments:
                status = self.victims.run(flow_id, step=step, moment=moment)
                self.deaths[moment if moment in (BEFORE, AFTER) else "middle"] += status == KILLED
                if status != KILLED:
                    self.faults[kind].append(f"{step} {moment}: the process ended with {status}")
                    return
        if status := self.victims.run(flow_id):
            self.faults[kind].append(f"the last run ended with {status}")


def run(*, size: Size, number: int, database: LiveDatabase, matcher_url: str, say: bool = True) -> Report:
    """One run over a committed database with a matcher."""
    from django.test.utils import override_settings

    report = Report(name="provisioning", seed=number)
    settings = {
        **{name: value for name, value in database.environment(owner=True).items() if name.startswith("KEYSTEAD_")},
        "KEYSTEAD_MATCHER_URL": matcher_url,
        "KEYSTEAD_OFFBOARDING_GRACE_HOURS": "0",
    }
    from datetime import timedelta

    with victims(settings) as forked, override_settings(OFFBOARDING_GRACE=timedelta(), MATCHER_URL=matcher_url):
        this = Run(database, forked, random.Random(number), _say if say else _silent)
        this.tell(f"seed {number}")
        for turn in range(size.rounds):
            this.tell(f"organization {turn + 1} of {size.rounds}")
            _one_life(this, f"life-{number:08x}-{turn}", size)
    steps = _steps()
    expected = size.rounds * sum(len(names) for names in steps.values())
    for moment in (BEFORE, AFTER):
        # Another operator's approval is no act of a process: there is nothing to be killed before or after.
        report.promise(f"killed {moment} every step", this.deaths[moment] == expected, figure=this.deaths[moment])
    report.promise(
        "created: the same organization, complete, one set of keys",
        not this.faults["create"],
        figure=this.faults["create"],
    )
    report.promise(
        "offboarded: nothing left, and nobody else gets the name",
        not this.faults["offboard"],
        figure=this.faults["offboard"],
    )
    report.promise(
        "one certificate, which verifies, and a whole archive",
        not this.faults["certificate"],
        figure=this.faults["certificate"],
    )
    report.counts |= {"organizations": size.rounds, "deaths": dict(this.deaths), "steps": steps}
    return report


def _steps() -> dict[str, list[str]]:
    from provisioning.models import FlowKind
    from provisioning.steps import STEPS

    return {
        "create": list(STEPS[FlowKind.CREATE]),
        "offboard": [step for step in STEPS[FlowKind.OFFBOARD] if step != "approval"],
    }


def _one_life(this: Run, slug: str, size: Size) -> None:
    from engine.tenancy.context import public_schema
    from provisioning import services

    birth = services.Birth(slug=slug, name=slug, plan_code="standard", admin_email="owner@life.example")
    with public_schema():
        flow = services.request_organization(birth=birth)
    this.survive("create", flow.id, _steps()["create"], size.middles)
    compare_living(this, slug, flow.organization_id)
    if this.faults["create"]:
        return
    _live(slug)
    ending = _offboard(slug)
    this.survive("offboard", ending, _steps()["offboard"], size.middles)
    compare_gone(this, slug, flow.organization_id)


def _live(slug: str) -> None:
    """Something to export, something to destroy, and a message that is not handled any more."""
    from engine.principals import SYSTEM
    from engine.tenancy.context import organization, public_schema
    from shared.organizations.models import Organization
    from tenants.identity import services as identity
    from tenants.keyring import services as keyring

    with public_schema():
        context = Organization.objects.get(slug=slug).context()
    with organization(context):
        for number in range(3):
            person = identity.create_person(external_reference=f"p-{number}", by=SYSTEM)
            keyring.ensure_person_key(person_id=person.id, purpose="documents")


def _offboard(slug: str) -> UUID:
    """Asked for by one operator, approved by another."""
    from engine.ids import uuid7
    from engine.principals import Principal
    from engine.tenancy.context import public_schema
    from provisioning import offboarding
    from shared.organizations.models import Organization

    one, other = (Principal(kind="operator", id=uuid7(), display=f"{name}@ops.example") for name in ("ada", "bob"))
    with public_schema():
        row = Organization.objects.get(slug=slug)
        offboarding.request(organization_id=row.id, reason="The contract has ended.", by=one)
        found = offboarding.approve(organization_id=row.id, by=other)
    return found.flow_id


def compare_living(this: Run, slug: str, organization_id: UUID) -> None:
    wrong = this.faults["create"]
    with psycopg.connect(this.database.owner_url) as owner:
        rows = owner.execute(
            "SELECT id, status, schema_name, role_name FROM public.organizations_organization WHERE slug = %s", [slug]
        ).fetchall()
        if [(row[0], row[1]) for row in rows] != [(organization_id, "active")]:
            wrong.append(f"{slug}: {rows}")
            return
        _, _, schema, role = rows[0]
        purposes = owner.execute(f"SELECT purpose FROM {schema}.keyring_organizationkey ORDER BY purpose").fetchall()
        if [row[0] for row in purposes] != PURPOSES:
            wrong.append(f"{slug} has keys {purposes}")
        for what, table in (("owners", "accounts_user"), ("grants", "access_grant"), ("keys", "access_signingkey")):
            count = _one(owner, f"SELECT count(*) FROM {schema}.{table}")
            if count != 1:
                wrong.append(f"{slug} has {count} {what}")
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = %s"
        if _one(owner, tables, schema) != _one(owner, tables, "ks_o_test_a"):
            wrong.append(f"{slug} is not complete")
        if _one(owner, "SELECT count(*) FROM pg_roles WHERE rolname = %s", role) != 1:
            wrong.append(f"{slug} has no role")
        if stray := _stray(owner):
            wrong.append(f"schemas of nobody: {stray}")


def compare_gone(this: Run, slug: str, organization_id: UUID) -> None:
    wrong = this.faults["offboard"]
    with psycopg.connect(this.database.owner_url) as owner:
        row = owner.execute(
            "SELECT status, schema_name, role_name, schema_fingerprint FROM public.organizations_organization"
            " WHERE id = %s",
            [organization_id],
        ).fetchone()
        if row is None or (row[0], row[3]) != ("offboarded", ""):
            wrong.append(f"{slug}: {row}")
            return
        _, schema, role, _ = row
        for what, query, argument in (
            ("the schema", "SELECT count(*) FROM pg_namespace WHERE nspname = %s", schema),
            ("the role", "SELECT count(*) FROM pg_roles WHERE rolname = %s", role),
            ("messages", "SELECT count(*) FROM public.outbox_message WHERE org_role = %s", role),
        ):
            if _one(owner, query, argument):
                wrong.append(f"{slug}: {what} is there")
        if stray := _stray(owner):
            wrong.append(f"schemas of nobody: {stray}")
    wrong += _name_is_free(slug)
    this.faults["certificate"] += _certificate_faults(slug, organization_id)


def _name_is_free(slug: str) -> Iterator[str]:
    from engine.tenancy.context import public_schema
    from provisioning import services

    try:
        with public_schema():
            services.request_organization(
                birth=services.Birth(slug=slug, name=slug, plan_code="standard", admin_email="x@life.example")
            )
    except services.SlugTakenError:
        return
    yield f"{slug} was given to another"


def _certificate_faults(slug: str, organization_id: UUID) -> Iterator[str]:
    from django.conf import settings

    from engine.blobs.erasures import ErasureJournal
    from engine.blobs.store import open_store
    from engine.tenancy.context import public_schema
    from provisioning import certificates
    from provisioning.models import Offboarding
    from shared.operator_log import selectors as operator_log

    store = open_store(settings.BLOB_URL)
    with public_schema():
        (found,) = Offboarding.objects.filter(organization_id=organization_id)
        acts = Counter(operator_log.acts(organization_id=organization_id).values_list("action", flat=True))
    if store.read(f"certificates/{organization_id}.jws").decode() != found.certificate:
        yield f"{slug}: two certificates"
    said = certificates.verify(found.certificate, public_keys=[certificates.platform_key().public_key()])
    if said["requested_by"]["id"] == said["approved_by"]["id"]:
        yield f"{slug}: one operator was both"
    if sorted(key["purpose"] for key in said["destroyed"]["keys"]) != PURPOSES:
        yield f"{slug}: the certificate speaks of keys {said['destroyed']['keys']}"
    erasure = ErasureJournal(store).organization(organization_id)
    if erasure is None or [str(key) for key in erasure.key_ids] != [key["id"] for key in said["destroyed"]["keys"]]:
        yield f"{slug}: the journal says {erasure}"
    if any(acts[one] != 1 for one in ("offboarding.final", "organization.offboarded")):
        yield f"{slug}: the log says {dict(acts)}"
    yield from _archive_faults(slug, store, said)


def _archive_faults(slug: str, store: Any, said: dict[str, Any]) -> Iterator[str]:
    content = store.read(said["archive"]["manifest"])
    if hashlib.sha256(content).hexdigest() != said["archive"]["sha256"]:
        yield f"{slug}: the manifest was changed"
    manifest = json.loads(content)
    for table, entry in manifest["tables"].items():
        read = [store.read(part["name"]) for part in entry["parts"]]
        if [hashlib.sha256(part).hexdigest() for part in read] != [part["sha256"] for part in entry["parts"]]:
            yield f"{slug}: a part of {table} was changed"
        if sum(len(part.splitlines()) for part in read) != entry["rows"]:
            yield f"{slug}: {table} has not all rows"
    if manifest["tables"]["identity_person"]["rows"] != 3:
        yield f"{slug}: people are missing in the archive"


def _stray(owner: psycopg.Connection[Any]) -> list[str]:
    rows = owner.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'ks\\_o\\_%' AND nspname NOT IN"
        " (SELECT schema_name FROM public.organizations_organization"
        "  UNION SELECT schema_name FROM public.provisioning_readyschema)"
    ).fetchall()
    return [row[0] for row in rows]


def _one(owner: psycopg.Connection[Any], query: str, *arguments: str) -> Any:
    row = owner.execute(query, list(arguments)).fetchone()
    return row[0] if row else None


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _silent(_: str) -> None:
    """For the run inside the test suite."""


@contextmanager
def _platform(folder: Path) -> Iterator[tuple[LiveDatabase, str]]:
    """A database and a matcher, as the test suite makes them."""
    from tests.harness import environment

    environment.set_up()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from tests.harness.live import live_database
    from tests.harness.matcher import running_matcher

    with (
        live_database() as database,
        running_matcher(database_url=database.app_url, log=folder / "matcher.log") as matcher,
    ):
        yield database, matcher.url


def main() -> None:
    size = Size(rounds=int(os.environ.get("ROUNDS", "10")), middles=3)
    with tempfile.TemporaryDirectory(prefix="keystead-chaos-") as folder, _platform(Path(folder)) as (database, url):
        report = run(size=size, number=seed(), database=database, matcher_url=url)
    report.end()


if __name__ == "__main__":
    main()
