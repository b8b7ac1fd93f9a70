"""What becomes of a message: done once, held, put off, tried again, parked."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection

from engine.inbox.models import InboxMessage
from engine.outbox import Postpone, claims, handler, options, send
from engine.outbox.execution import Outcome, execute
from engine.outbox.inline import MessageFailed, drain
from engine.tenancy.context import current_schema, organization, public_schema, relay_schema
from shared.organizations.models import Organization

OPTIONS = options.Options(max_attempts=3)
seen: list[tuple[str | None, str]] = []


@handler("test.note")
def note(*, message):
    """Writes something that a rollback undoes, and something that it does not."""
    InboxMessage.objects.create(id=uuid4(), name="effect")
    seen.append((current_schema(), message.payload.get("word", "")))


@handler("test.free", transactional=False)
def free(*, message):
    seen.append((current_schema(), "free" if not connection.in_atomic_block else "nested"))


@handler("test.later")
def later(*, message):
    InboxMessage.objects.create(id=uuid4(), name="effect")
    raise Postpone(timedelta(seconds=60), "not now")


@handler("test.broken")
def broken(*, message):
    InboxMessage.objects.create(id=uuid4(), name="effect")
    raise ValueError("the card number is 4111111111111111")


@handler("test.look", coalesce=True, transactional=False)
def look(*, message):
    seen.append((current_schema(), "look"))


@pytest.fixture(autouse=True)
def _forget():
    seen.clear()


def sent(context, name="test.note", **payload):
    with organization(context):
        return send(name=name, payload=payload)


def claimed(**changes):
    given = {"batch": 100, "visibility_seconds": 15, "organization_cap": 100, "in_flight_cap": 100}
    return claims.claim(**{**given, **changes})


def start(message_id, lease_seconds=6):
    started = claims.start(message_id, lease_seconds=lease_seconds)
    assert started is not None
    return started


def row(message_id):
    with relay_schema(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT attempts, last_error, parked_at IS NOT NULL, dispatched_at IS NOT NULL,"
            " extract(epoch FROM available_at - clock_timestamp())::int"
            " FROM public.outbox_message WHERE id = %s",
            [message_id],
        )
        return cursor.fetchone()


def now_due():
    with relay_schema(), connection.cursor() as cursor:
        cursor.execute("UPDATE public.outbox_message SET available_at = now() - interval '1 second'")


def effects(context):
    with organization(context):
        return InboxMessage.objects.filter(name="effect").count()


def test_a_handler_runs_in_its_organization(org_a, org_b):
    sent(org_a, word="a")
    sent(org_b, word="b")
    assert drain() == {Outcome.DONE: 2}
    assert sorted(seen) == [(org_a.schema_name, "a"), (org_b.schema_name, "b")]
    assert effects(org_a) == effects(org_b) == 1


def test_the_platforms_handler_runs_in_public(org_a):
    with public_schema():
        send(name="test.note", payload={"word": "p"})
    drain()
    assert seen == [("public", "p")]


def test_a_done_message_is_gone(org_a):
    message_id = sent(org_a)
    drain()
    assert row(message_id) is None


def test_the_effect_happens_once_although_the_acknowledgement_was_lost(org_a):
    message_id = sent(org_a)
    claimed()
    started = start(message_id, 6)
    from engine.outbox import execution

    assert execution._handle(started) is True
    now_due()  # the worker died here, and its lease ran out
    assert claimed()
    assert execute(message_id, options=OPTIONS) == Outcome.DUPLICATE
    assert effects(org_a) == 1
    assert row(message_id) is None


def test_a_second_delivery_finds_the_lease(org_a):
    message_id = sent(org_a)
    claimed()
    assert claims.start(message_id, lease_seconds=6) is not None
    assert execute(message_id, options=OPTIONS) == Outcome.ABSENT
    assert seen == []


def test_a_run_out_lease_is_taken_over_and_the_late_one_cannot_give_it_back(org_a):
    message_id = sent(org_a)
    claimed()
    late = start(message_id, 6)
    now_due()
    current = start(message_id, 6)
    assert current.message.attempt == 2
    claims.release(late, delay=timedelta(hours=1), error="late")
    assert row(message_id)[1] == ""


def test_a_renewed_lease_lasts(org_a):
    message_id = sent(org_a)
    claimed()
    started = start(message_id, 1)
    claims.renew({message_id: started.started_at}, lease_seconds=600)
    assert row(message_id)[4] > 500


def test_without_a_transaction_when_asked(live_db, org_a):
    from django.db import transaction

    with organization(org_a), transaction.atomic():
        send(name="test.free", payload={})
    drain()
    assert seen == [(org_a.schema_name, "free")]


def test_postponing_undoes_and_does_not_count(org_a):
    message_id = sent(org_a, "test.later")
    assert drain() == {Outcome.POSTPONED: 1}
    attempts, error, is_parked, dispatched, delay = row(message_id)
    assert (attempts, error, is_parked, dispatched) == (0, "not now", False, False)
    assert 50 < delay <= 60
    assert effects(org_a) == 0


def test_failing_undoes_backs_off_and_parks(org_a):
    message_id = sent(org_a, "test.broken")
    outcomes = []
    for _ in range(3):
        now_due()
        assert claimed()
        outcomes.append(execute(message_id, options=OPTIONS, fraction=lambda: 1.0))
    assert outcomes == [Outcome.FAILED, Outcome.FAILED, Outcome.PARKED]
    now_due()
    assert claimed() == []
    (parked,) = claims.parked()
    assert (parked.id, parked.org_role, parked.attempts) == (message_id, org_a.role_name, 3)
    assert effects(org_a) == 0


def test_an_error_is_named_without_its_text(org_a):
    message_id = sent(org_a, "test.broken")
    drain()
    assert row(message_id)[1].startswith("builtins.ValueError at test_execution.py:")
    assert "4111" not in row(message_id)[1]


def test_draining_can_insist(org_a):
    sent(org_a, "test.broken")
    with pytest.raises(MessageFailed, match="ValueError"):
        drain(raise_errors=True)


def test_a_message_that_kills_its_worker_is_parked(org_a):
    message_id = sent(org_a)
    claimed()
    for _ in range(OPTIONS.max_attempts):
        assert claims.start(message_id, lease_seconds=6)
        now_due()
    assert execute(message_id, options=OPTIONS) == Outcome.PARKED
    assert seen == []
    assert "survive" in claims.parked()[0].last_error


def test_a_parked_message_can_be_let_go_again(org_a):
    message_id = sent(org_a, "test.broken")
    claimed()
    started = start(message_id, 6)
    claims.release(started, delay=timedelta(), error="x", park=True)
    assert claims.unpark(uuid4()) == 0
    assert claims.unpark(message_id) == 1
    assert [each.id for each in claimed()] == [message_id]


def test_a_suspended_organizations_messages_are_held(org_a):
    from engine.tenancy import directory

    message_id = sent(org_a)
    with public_schema():
        Organization.objects.filter(id=org_a.id).update(status="suspended")
    directory.forget()
    assert drain() == {Outcome.POSTPONED: 1}
    assert seen == []
    with public_schema():
        Organization.objects.filter(id=org_a.id).update(status="active")
    directory.forget()
    now_due()
    assert drain() == {Outcome.DONE: 1}
    assert row(message_id) is None


def test_a_role_without_an_organization_fails(org_a):
    message_id = sent(org_a)
    with relay_schema(), connection.cursor() as cursor:
        cursor.execute("UPDATE public.outbox_message SET org_role = 'ks_o_gone'")
    assert drain() == {Outcome.FAILED: 1}
    assert "UnknownOrganization" in row(message_id)[1]


def test_one_execution_stands_for_many(org_a, org_b):
    for _ in range(5):
        sent(org_a, "test.look")
    sent(org_b, "test.look")
    sent(org_a)
    drain()
    assert sorted(seen) == sorted([(org_a.schema_name, ""), (org_a.schema_name, "look"), (org_b.schema_name, "look")])


def test_what_is_not_due_is_not_stood_for(org_a):
    from engine.clock import utc_now

    with organization(org_a):
        later = send(name="test.look", payload={}, available_at=utc_now() + timedelta(seconds=5))
    sent(org_a, "test.look")
    drain()
    assert len(seen) == 1
    assert row(later) is not None


def test_housekeeping_happens_on_the_way(org_a, monkeypatch):
    from engine.outbox import execution

    with organization(org_a):
        old = InboxMessage.objects.create(id=uuid4(), name="old")
        InboxMessage.objects.bulk_create([InboxMessage(id=uuid4(), name="older", handled_at="2020-01-01T00:00Z")])
    monkeypatch.setattr(execution, "_PURGE_CHANCE", 1.0)
    sent(org_a)
    drain()
    with organization(org_a):
        assert InboxMessage.objects.filter(name="older").count() == 0
        assert InboxMessage.objects.filter(id=old.id).exists()


def test_one_organization_cannot_fill_the_way(org_a, org_b):
    """Fairness: b's one message goes out in the first sweep although a has sent hundreds before it."""
    for _ in range(200):
        sent(org_a)
    last = sent(org_b)
    first = claimed(organization_cap=8)
    assert len([each for each in first if each.org_role == org_a.role_name]) == 8
    assert last in [each.id for each in first]
    assert claimed(organization_cap=8) == []
    execute(next(each.id for each in first if each.org_role == org_a.role_name), options=OPTIONS)
    assert len(claimed(organization_cap=8)) == 1


def test_all_organizations_together_have_a_cap(org_a, org_b):
    for _ in range(5):
        sent(org_a)
        sent(org_b)
    assert len(claimed(in_flight_cap=7)) == 7
    assert claimed(in_flight_cap=7) == []


def test_held_roles_are_left_alone(org_a, org_b):
    sent(org_a)
    last = sent(org_b)
    assert [each.id for each in claimed(held=[org_a.role_name])] == [last]


def test_what_redis_lost_is_sent_again(org_a):
    message_id = sent(org_a)
    assert claimed()
    assert claimed() == []
    now_due()
    assert [each.id for each in claimed()] == [message_id]


def test_a_delayed_message_waits(org_a):
    from engine.clock import utc_now

    with organization(org_a):
        send(name="test.note", payload={}, available_at=utc_now() + timedelta(hours=1))
    assert claimed() == []


def test_depths(org_a):
    from engine.outbox import metrics

    sent(org_a)
    sent(org_a, "test.broken")
    now_due()
    (depth,) = metrics.observe()
    assert (depth.queue, depth.waiting, depth.parked) == ("default", 2, 0)
    assert depth.lag_seconds >= 1


def test_old_inbox_rows_can_be_purged(org_a):
    from engine.clock import utc_now
    from engine.inbox import services

    sent(org_a)
    drain()
    with organization(org_a):
        assert services.purge(before=utc_now() - timedelta(days=30)) == 0
        assert services.purge(before=utc_now() + timedelta(days=1)) == 2
