"""Writers that commit out of order, two sealers at once: no gap, nothing twice, nothing missed."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import ClassVar

from django.db import connection, transaction

from engine.outbox import Postpone
from engine.tenancy.context import organization
from tenants.events import selectors, services
from tenants.events.events import Event as Fact

WRITERS, ACTS, SEALERS = 6, 15, 2


@dataclass(frozen=True, kw_only=True)
class RaceRun(Fact):
    type: ClassVar[str] = "race.run"
    writer: str


def in_thread(failures, function, *arguments):
    def run():
        try:
            function(*arguments)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def write(context, number, randomness, pauses):
    with organization(context):
        for _ in range(ACTS):
            with transaction.atomic():
                services.record(event=RaceRun(writer=f"wrt_{number}"))
                # The event is written and the commit is late, so that others commit in between.
                if randomness.random() < 0.5:
                    pauses.wait(randomness.random() / 50)
                services.record(event=RaceRun(writer=f"wrt_{number}"))


def seal(context, stop):
    with organization(context):
        while not stop.is_set():
            try:
                services.seal()
            except Postpone:
                stop.wait(0.001)


def test_out_of_order_commits_and_two_sealers(live_db, org_a, monkeypatch):
    delivered: list[int] = []
    monkeypatch.setattr(services, "_subscribers", [lambda batch: delivered.extend(e.sequence for e in batch)])
    failures: list[BaseException] = []
    stop, pauses = threading.Event(), threading.Event()
    sealers = [in_thread(failures, seal, org_a, stop) for _ in range(SEALERS)]
    writers = [in_thread(failures, write, org_a, n, random.Random(n), pauses) for n in range(WRITERS)]
    for thread in writers:
        thread.join()
    stop.set()
    for thread in sealers:
        thread.join()
    assert failures == []
    with organization(org_a):
        services.seal()
        seals = list(selectors.sealed())
        expected = WRITERS * ACTS * 2
        assert [each.sequence for each in seals] == list(range(1, expected + 1))
        assert len({each.row_id for each in seals}) == expected
        assert delivered == list(range(1, expected + 1))
        found = services.verify()
        assert found.intact
        assert found.unsealed == 0
