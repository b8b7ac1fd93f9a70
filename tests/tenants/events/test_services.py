"""Events: written with the act, numbered afterwards, read only when numbered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import pytest
from django.db import ProgrammingError, connection, transaction

from engine.errors import NotFound
from engine.outbox.inline import drain
from engine.tenancy.context import organization
from tenants.events import selectors, services
from tenants.events.events import Event as Fact
from tenants.events.models import Event, Head, Pending, Seal


@dataclass(frozen=True, kw_only=True)
class ThingHappened(Fact):
    type: ClassVar[str] = "thing.happened"
    thing: str
    size: int = 1


@pytest.fixture
def told(monkeypatch):
    batches: list[list[services.SealedEvent]] = []
    monkeypatch.setattr(services, "_subscribers", [])
    services.subscribe(lambda batch: batches.append(list(batch)))
    return batches


def record(count=1, **fields):
    with transaction.atomic():
        return [services.record(event=ThingHappened(thing=f"thg_{n}", **fields)) for n in range(count)]


def test_an_event_has_no_number_until_it_is_sealed(in_org_a, told):
    (event,) = record()
    assert list(selectors.sealed()) == []
    with pytest.raises(NotFound):
        selectors.get(event_id=event.id)
    services.seal()
    assert selectors.get(event_id=event.id).sequence == 1
    assert Pending.objects.count() == 0
    assert [(each.sequence, each.id) for batch in told for each in batch] == [(1, event.id)]


def test_numbers_follow_the_order_of_the_act(in_org_a):
    events = record(20)
    services.seal()
    assert [seal.row_id for seal in selectors.sealed()] == [event.id for event in events]
    assert [seal.sequence for seal in selectors.sealed(after=15)] == [16, 17, 18, 19, 20]


def test_the_message_seals(org_a, org_b, told):
    for each in (org_a, org_b):
        with organization(each):
            record(3)
    drain(raise_errors=True)
    for each in (org_a, org_b):
        with organization(each):
            assert [seal.sequence for seal in selectors.sealed()] == [1, 2, 3]
    assert sorted(len(batch) for batch in told) == [3, 3]


def test_the_body_is_rendered_once(in_org_a):
    (event,) = record(size=7)
    body = json.loads(event.body)
    assert body == {
        "id": event.public_id,
        "type": "thing.happened",
        "api_version": "2026-11-01",
        "schema_version": 1,
        "organization": body["organization"],
        "created_at": event.created_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "data": {"thing": "thg_0", "size": 7},
    }
    assert body["organization"].startswith("org_")


def test_a_huge_body_is_refused(in_org_a):
    with pytest.raises(services.EventTooLarge), transaction.atomic():
        services.record(event=ThingHappened(thing="x" * 70_000))


def test_recording_needs_a_transaction(live_db, in_org_a):
    with pytest.raises(RuntimeError, match="transaction"):
        services.record(event=ThingHappened(thing="thg_1"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events_event SET body = '{}'",
        "DELETE FROM events_event",
        "UPDATE events_seal SET sequence = 2",
        "DELETE FROM events_seal",
        "UPDATE events_pending SET marked_at = now()",
        "DELETE FROM events_head",
        "TRUNCATE events_event CASCADE",
    ],
)
def test_the_log_is_append_only_by_privilege(in_org_a, statement):
    record()
    services.seal()
    with (
        pytest.raises(ProgrammingError, match=r"permission denied|must be owner"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_verification_accepts_a_whole_chain_and_reports_the_tail(in_org_a):
    record(5)
    services.LOG.seal_batch(limit=3)
    found = services.verify()
    assert (found.intact, found.sealed, found.unsealed) == (True, 3, 2)
    assert found.unsealed_since == Event.objects.order_by("id")[3].created_at
    services.seal()
    assert services.verify().unsealed == 0
    assert services.verify().head_hash == bytes(Head.objects.get().hash)


def test_verification_of_nothing(in_org_a):
    found = services.verify()
    assert (found.intact, found.sealed, found.unsealed, found.unsealed_since) == (True, 0, 0, None)


@pytest.mark.parametrize("page", [1, 3, 100])
def test_verification_reads_in_pages(in_org_a, page):
    record(7)
    services.seal()
    found = services.LOG.verify(page=page)
    assert (found.intact, found.sealed) == (True, 7)


@pytest.mark.parametrize(
    ("tampering", "broken_at", "reason"),
    [
        ("UPDATE events_event SET body = replace(body, 'thg_2', 'thg_9')", 3, "changed"),
        ("UPDATE events_event SET created_at = created_at + interval '1 microsecond'", 1, "changed"),
        ("UPDATE events_seal SET hash = sha256('x') WHERE sequence = 4", 4, "changed"),
        ("DELETE FROM events_seal WHERE sequence = 2", 2, "missing"),
        ("DELETE FROM events_seal WHERE sequence = 5", 5, "missing from the end"),
        ("UPDATE events_head SET sequence = 4", 5, "head"),
        ("DELETE FROM events_head", 5, "head"),
    ],
)
def test_verification_finds_tampering(live_db, in_org_a, tampering, broken_at, reason):
    """The owner can do what the organization's role cannot: the chain says so."""
    from engine.tenancy.context import owner_schema

    record(5)
    services.seal()
    assert services.verify().intact
    tamper(live_db, in_org_a, tampering, owner_schema)
    found = services.verify()
    assert (found.intact, found.broken_at) == (False, broken_at)
    assert reason in found.reason


def tamper(live_db, context, statement, owner_schema):
    with live_db.as_owner(), owner_schema(context.schema_name), connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_chain_belongs_to_its_organization(org_a, org_b):
    """The same rows and seals under another organization do not verify: chains cannot be swapped."""
    with organization(org_a):
        record(1)
        services.seal()
        first = Seal.objects.get()
        assert services.verify().intact
    with organization(org_b):
        record(1)
        services.seal()
        assert bytes(Seal.objects.get().previous_hash) != bytes(first.previous_hash)


def test_a_forged_pending_mark_cannot_number_an_event_twice(in_org_a):
    (event,) = record()
    services.seal()
    Pending.objects.create(row_id=event.id, marked_at=event.created_at)
    from django.db import IntegrityError

    with pytest.raises(IntegrityError), transaction.atomic():
        services.seal()
