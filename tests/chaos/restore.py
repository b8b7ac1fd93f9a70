"""Drop one of many organizations under load and restore it: `make chaos NAME=restore`.

Every organization has a writer that keeps its own account of what it wrote. One is backed up, goes on
working (people are erased, payments settle), and loses its schema. It is restored by a process that is
killed -9 before and after every step. Then the accounts of the writers, of the provider and of the
webhooks' receiver are compared with the rows. SEED=n repeats the choices of a run; ORGANIZATIONS=n
changes its size.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.chaos.report import Report, seed
from tests.harness import environment

if __name__ == "__main__":
    environment.set_up()
    # The load meets errors, as it should; what it comes to is compared at the end.
    os.environ["KEYSTEAD_LOG_LEVEL"] = "ERROR"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()

import psycopg
from django.db import connections
from psycopg import sql

from devkit.demo.receiver import Receiver
from engine.keys import contexts, envelope, tree
from engine.keys.kms import open_kms
from engine.keys.tree import OrganizationKeys
from engine.matcher_client import MatcherUnavailable
from engine.outbox import claims, options
from engine.outbox.execution import execute
from engine.principals import SYSTEM
from engine.tenancy import directory
from engine.tenancy.context import PLATFORM_ROLE, OrganizationContext, organization, public_schema
from provisioning import schemas
from provisioning.backups import archive, keys, services, tables
from provisioning.models import Flow, FlowKind
from provisioning.steps import STEPS
from shared.organizations.models import Domain, Organization
from shared.plans.models import Plan
from tenants.audit import services as audit
from tenants.events import selectors as event_selectors
from tenants.events import services as events
from tenants.identity import services as identity
from tenants.identity.models import Person, Template
from tenants.keyring import services as keyring
from tenants.keyring.models import OrganizationKey, PersonKey
from tenants.payments import services as payments
from tenants.payments.models import Payment, PaymentMethod
from tenants.webhooks import services as webhooks
from tests.devkit.sandbox.server import SandboxProcess, running_sandbox
from tests.factories import payments as make
from tests.harness.build_template import _give_keys
from tests.harness.live import LiveDatabase, live_database

STEPS_OF_A_RESTORE = tuple(STEPS[FlowKind.RESTORE])
SETTLE_S = 120.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it."""

    organizations: int
    people: int
    """In each organization, before the load begins."""
    load_s: float
    """For how long all work before the backup, between backup and loss, and after the restore."""
    pause_s: float
    """Between two acts of one writer."""
    moments: tuple[str, ...]
    """When the restore is killed at each step: before it, after it."""
    at_once: bool
    """Leave out the waiting for processes and terminals that are not there."""


@dataclass(slots=True)
class House:
    """An organization, what its writer says that it wrote, and its account at the provider."""

    context: OrganizationContext
    provider_key: str
    method: PaymentMethod
    people: set[UUID] = field(default_factory=set)
    payments: set[UUID] = field(default_factory=set)
    doubtful: set[UUID] = field(default_factory=set)
    """Written when the writer was told of an error: there, or not."""
    stop: threading.Event = field(default_factory=threading.Event)


def run(*, size: Size, number: int, folder: Path, say: bool = True) -> Report:
    """One run, from empty organizations to the comparison of the accounts."""
    report = Report(name="restore", seed=number)
    tell = _say if say else _silent
    chance = random.Random(number)
    tell(f"seed {number}")
    sandbox_folder = folder / "sandbox"
    sandbox_folder.mkdir()
    with (
        live_database() as database,
        running_sandbox(sandbox_folder) as sandbox,
        Receiver().listening() as receiver,
        _deaths(database, at_once=size.at_once) as deaths,
    ):
        tell("making organizations")
        with database.as_owner():
            houses = [_build(sandbox, receiver, size, index) for index in range(size.organizations)]
        victim = chance.choice(houses)
        with _load(houses, size):
            time.sleep(size.load_s)
            story = _Story(report, database, victim, sandbox, deaths, folder, size, tell)
            story.tell_all()
            time.sleep(size.load_s)
        tell("comparing")
        _settle(houses)
        story.compare()
        _compare(report, houses, victim, sandbox, receiver)
        report.counts |= {
            "organizations": size.organizations,
            "people": sum(len(house.people) for house in houses),
            "payments": sum(len(house.payments) for house in houses),
            "webhooks": len(receiver.arrived),
            "kills": story.kills,
        }
    return report


class _Story:
    """What happens to the one organization while the others work."""

    def __init__(
        self,
        report: Report,
        database: LiveDatabase,
        victim: House,
        sandbox: SandboxProcess,
        deaths: Callable[[UUID, str, str], int],
        folder: Path,
        size: Size,
        tell: Callable[[str], None],
    ) -> None:
        self._report, self._database, self._victim, self._sandbox = report, database, victim, sandbox
        self._deaths, self._file, self._size, self._tell = deaths, folder / "victim.ksb", size, tell
        self.kills = 0

    def tell_all(self) -> None:
        """Backup, life after it, loss, restore."""
        self._in_flight = self._ask_for_payments()
        before = set(self._victim.people)
        self._tell("backing up")
        with self._database.as_owner(), public_schema():
            row = Organization.objects.get(id=self._victim.context.id)
            backup = services.request_backup(by=SYSTEM, organization=row, to=self._file)
        self._deaths(backup.id, "none", "-")
        with self._file.open("rb") as opened:
            self._manifest = archive.verify(opened, kms=keys.kms())
        self._before, self._until = before, set(self._victim.people) | self._victim.doubtful
        self._live_on()
        self._tell("dropping the schema")
        self._victim.stop.set()
        time.sleep(0.5)
        with organization(self._victim.context):
            self._lost_end = len(event_selectors.sealed())
        with self._database.as_owner(), schemas.owner_connection() as raw:
            # What still runs there may lock two tables the other way round; the loss happens all the same.
            while not _dropped(raw, schema=self._victim.context.schema_name):
                pass
        self._restore()

    def _ask_for_payments(self) -> list[UUID]:
        """Intents that nobody has taken to the provider when the backup is made."""
        with organization(self._victim.context):
            asked = [make.payment(self._victim.method).id for _ in range(3)]
        self._victim.payments |= set(asked)
        return asked

    def _live_on(self) -> None:
        """What the backup does not know: those payments are charged, and somebody is erased."""
        self._tell("living on after the backup")
        with organization(self._victim.context):
            for payment in self._in_flight:
                payments.advance(payment_id=payment)
            # The first one pays.
            self._erased, self._kept = sorted(self._before)[1:3]
            with suppress(MatcherUnavailable):
                identity.erase_person(person_id=self._erased, by=make.STAFF)
        time.sleep(self._size.load_s)

    def _restore(self) -> None:
        with self._database.as_owner():
            flow = services.request_restore(by=SYSTEM, location=str(self._file))
        equal = False
        for step in STEPS_OF_A_RESTORE:
            for moment in self._size.moments:
                if step == "close":
                    # Nothing was settled yet: every table has the bytes that were backed up, or has not.
                    equal = equal or self._is_equal(flow)
                self._tell(f"killed {moment} {step}")
                self.kills += self._deaths(flow.id, step, moment) == -signal.SIGKILL
        lived = self._deaths(flow.id, "none", "-")
        with public_schema():
            finished = Flow.objects.get(id=flow.id).status
        self._report.promise(
            "killed at every step, and restored all the same",
            (self.kills, lived, finished) == (len(self._size.moments) * len(STEPS_OF_A_RESTORE), 0, "succeeded"),
            figure=self.kills,
        )
        self._report.promise(
            "checksums are those of the backup",
            equal,
            figure={"tables": len(self._manifest.tables), "rows": sum(one.rows for one in self._manifest.tables)},
        )
        with public_schema():
            self._context = Organization.objects.get(id=self._victim.context.id).context()

    def _is_equal(self, flow: Flow) -> bool:
        """Whether every table of the copy, before anything was settled, has the bytes that were backed up."""
        with self._database.as_owner(), tables.reading() as raw:
            schema = flow.parameters["schema"]
            found = {
                shape.name: tables.tally(raw, schema=schema, shape=shape) for shape in tables.shapes(raw, schema=schema)
            }
        return found == {table.name: (table.rows, table.sha256) for table in self._manifest.tables}

    def compare(self) -> None:
        """What the restored organization holds, and that it works."""
        with organization(self._context):
            there = set(Person.objects.values_list("id", flat=True))
            self._report.promise(
                "everybody of the backup is back",
                self._before <= there <= self._until,
                figure={"before": len(self._before), "restored": len(there)},
            )
            self._report.promise(
                "who was erased after the backup stays undecryptable, and nobody else",
                not _opens(self._context, self._erased) and _opens(self._context, self._kept),
                figure={"keys left": PersonKey.objects.filter(person_id=self._erased).count()},
            )
            settled = Counter(Payment.objects.filter(id__in=self._in_flight).values_list("status", flat=True))
            self._report.promise(
                "payments in flight at the backup are found, not repeated",
                settled == {"captured": len(self._in_flight)},
                figure=dict(settled),
            )
            numbers = [seal.sequence for seal in event_selectors.sealed()]
            self._report.promise(
                "the logs hold, and no number is used twice",
                events.verify().intact
                and audit.verify().intact
                and not set(range(self._manifest.logs["events"] + 1, self._lost_end + 1)) & set(numbers[-20:]),
                figure={"events": len(numbers), "last": numbers[-1]},
            )
            made = payments.advance(payment_id=make.payment(_method_of(self._victim)).id)
            self._victim.payments.add(made.id)
            self._report.promise("the restored organization works", made.status == "captured", figure=made.status)


def _build(sandbox: SandboxProcess, receiver: Receiver, size: Size, index: int) -> House:
    """An organization with keys, people who can pay, and a back office that hears of it."""
    opaque = f"{number_of_run():08x}{index:04}"
    schema = role = f"ks_o_{opaque}"
    slug = f"house-{index}"
    with public_schema():
        row = Organization.objects.create(
            slug=slug,
            name=slug,
            status="active",
            plan=Plan.objects.get(code="standard"),
            issuer=f"http://{slug}.{environment.BASE_DOMAIN}",
            environment="test",
            schema_name=schema,
            role_name=role,
            time_zone="UTC",
            locale="en",
            currency="EUR",
        )
        Domain.objects.create(host=f"{slug}.{environment.BASE_DOMAIN}", organization=row, is_canonical=True)
    schemas.create(schema=schema, role=role)
    context = row.context()
    _give_keys(context)
    with organization(context):
        key = sandbox.new_key()
        account = make.provider_account(sandbox, key)
        people = {_enrol(context, f"{slug} {turn}") for turn in range(size.people)}
        method = make.payment_method([account], person=min(people))
        webhooks.create_endpoint(url=receiver.url, description="", event_types=["payment.*"], by=make.STAFF)
    return House(context, key, method, people)


def number_of_run() -> int:
    """Roles belong to the server, where other runs have theirs."""
    return os.getpid()


def _enrol(context: OrganizationContext, name: str) -> UUID:
    """A person with a template, sealed as the matcher would."""
    person = identity.create_person(display_name=name, by=make.STAFF)
    held = OrganizationKeys(open_kms(environment.BIOMETRIC_KMS_URL))
    top = OrganizationKey.objects.active("biometric").get().row(organization_id=context.id)
    row = tree.new_person_key(held, top, key_id=UUID(bytes=os.urandom(16), version=4), person_id=person.id)
    PersonKey.objects.create(
        id=row.id, person_id=person.id, purpose="biometric", organization_key_version=1, wrapped=row.wrapped
    )
    with tree.open_person_key(held, top, row).use() as material:
        sealed = envelope.seal(material, os.urandom(256), key=row.name, context=_template_context(context, row))
    Template.objects.create(
        person_id=person.id, modality="face", model="model-1", version=1, dimensions=64, sealed=sealed
    )
    held.forget()
    return person.id


def _opens(context: OrganizationContext, person_id: UUID) -> bool:
    """Whether anybody with every key of the database and of the KMS can still read the person's template."""
    held = OrganizationKeys(open_kms(environment.BIOMETRIC_KMS_URL))
    top = OrganizationKey.objects.active("biometric").get().row(organization_id=context.id)
    sealed = bytes(Template.objects.get(person_id=person_id).sealed)
    for key in PersonKey.objects.filter(purpose="biometric"):
        row = key.row(organization_id=context.id)
        with suppress(envelope.EnvelopeBroken), tree.open_person_key(held, top, row).use() as material:
            envelope.open_sealed(material, sealed, key=row.name, context=_template_context(context, row, person_id))
            return True
    return False


def _template_context(
    context: OrganizationContext, row: tree.PersonKeyRow, person_id: UUID | None = None
) -> contexts.Context:
    return contexts.template(
        organization_id=context.id,
        person_id=person_id or row.person_id,
        modality="face",
        model="model-1",
        version=1,
        key_id=row.id,
    )


def _dropped(raw: psycopg.Connection[Any], *, schema: str) -> bool:
    try:
        raw.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
    except psycopg.errors.DeadlockDetected:
        return False
    return True


def _method_of(house: House) -> PaymentMethod:
    return PaymentMethod.objects.get(id=house.method.id)


@contextmanager
def _load(houses: list[House], size: Size) -> Iterator[None]:
    """A writer in every organization, and one who works the outbox off, until the block ends."""
    over = threading.Event()
    threads = [threading.Thread(target=_write, args=(house, size, index)) for index, house in enumerate(houses)]
    threads.append(threading.Thread(target=_work_off, args=(over,)))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for house in houses:
            house.stop.set()
        over.set()
        for thread in threads:
            thread.join()


def _write(house: House, size: Size, index: int) -> None:
    """Enrol people and charge one of them, and keep an account of it."""
    turn = index
    while not house.stop.wait(size.pause_s):
        turn += 1
        try:
            with organization(house.context):
                if turn % 3:
                    house.people.add(make.person_id())
                else:
                    asked = make.payment(house.method)
                    house.payments.add(asked.id)
                    payments.advance(payment_id=asked.id)
        except Exception:
            house.doubtful.add(UUID(int=turn))
    connections.close_all()


def _work_off(over: threading.Event) -> None:
    while not over.wait(0.05):
        with suppress(Exception):
            _handle_due()
    connections.close_all()


def _handle_due() -> None:
    """Work the outbox off as relay and worker do. The platform's own messages are the provisioner's, who is killed."""
    directory.forget()
    loaded = options.load()
    due = claims.claim(
        batch=loaded.batch,
        visibility_seconds=loaded.visibility_seconds,
        organization_cap=loaded.batch,
        in_flight_cap=loaded.in_flight_cap,
        held=[PLATFORM_ROLE],
    )
    for each in due:
        execute(each.id, options=loaded)


def _settle(houses: list[House]) -> None:
    """Until nothing is undecided and nothing is left to tell."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        for _ in range(20):
            _handle_due()
        left = 0
        for house in houses:
            with public_schema():
                context = Organization.objects.get(id=house.context.id).context()
            with organization(context):
                left += payments.sweep() + events.seal()
        if not left:
            return
        time.sleep(0.5)


def _compare(report: Report, houses: list[House], victim: House, sandbox: SandboxProcess, receiver: Receiver) -> None:
    others = [house for house in houses if house is not victim]
    wrong = []
    for house in others:
        with organization(house.context):
            people = set(Person.objects.values_list("id", flat=True))
            paid = set(Payment.objects.values_list("id", flat=True))
            intact = events.verify().intact and audit.verify().intact
        if (people, paid, bool(house.doubtful), intact) != (house.people, house.payments, False, True):
            wrong.append(house.context.slug)
    report.promise("the others hold what their writers say, and met no error", not wrong, figure=wrong or len(others))
    charges = Counter(
        charge["metadata"]["payment"] for house in houses for charge in sandbox.charges(house.provider_key)
    )
    asked = {payment for house in houses for payment in house.payments}
    report.promise(
        "nobody was charged twice",
        set(charges.values()) <= {1} and len(charges) >= len(asked) // 2,
        figure={"charges": len(charges), "payments": len(asked), "twice": sum(n > 1 for n in charges.values())},
    )
    sent = Counter(one.headers["webhook-id"] for one in receiver.arrived)
    report.promise(
        "no webhook was sent twice",
        set(sent.values()) == {1},
        figure={"events": len(sent), "twice": sum(n > 1 for n in sent.values())},
    )


@contextmanager
def _deaths(database: LiveDatabase, *, at_once: bool) -> Iterator[Callable[[UUID, str, str], int]]:
    """Runs a flow in a process that dies at a step; answers how it ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.killed_restore", *(["--at-once"] if at_once else [])],
        cwd=environment.ROOT,
        env=database.environment(owner=True),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.stdin is None or process.stdout is None:
        raise AssertionError("both are pipes")
    talk, hear = process.stdin, process.stdout

    def run_and_die(flow_id: UUID, step: str, moment: str) -> int:
        talk.write(f"{flow_id} {step} {moment}\n")
        talk.flush()
        return int(hear.readline())

    try:
        hear.readline()
        yield run_and_die
    finally:
        talk.close()
        process.wait(timeout=30)
        hear.close()


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _silent(_: str) -> None:
    """For the run inside the test suite."""


def main() -> None:
    size = Size(
        organizations=int(os.environ.get("ORGANIZATIONS", "50")),
        people=20,
        load_s=10.0,
        pause_s=0.5,
        moments=("before", "after"),
        at_once=False,
    )
    keyring.EVICTION_SECONDS = 0.0
    with tempfile.TemporaryDirectory(prefix="keystead-chaos-") as folder:
        report = run(size=size, number=seed(), folder=Path(folder))
    report.end()


if __name__ == "__main__":
    main()
