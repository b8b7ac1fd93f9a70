"""The relay by itself: what it sends, what it leaves, and what it does without a Redis."""

from __future__ import annotations

import threading
import time
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings

from engine.outbox import handler, hints, options, registry, send
from engine.outbox.broker import OutboxBroker
from engine.outbox.relay import Relay, run
from engine.tenancy import directory
from engine.tenancy.context import organization, public_schema, relay_schema
from shared.organizations.models import Organization

NOBODY = "redis://127.0.0.1:1/0"


@handler("test.relayed")
def relayed(*, message):
    raise AssertionError("no worker runs here")


@pytest.fixture
def loaded():
    found = options.Options(namespace=f"ks-test-{uuid4().hex[:8]}", sweep_seconds=0.05, hold_seconds=60)
    yield found
    client = redis.Redis.from_url(settings.REDIS_URL)
    for key in client.scan_iter(f"{found.namespace}*"):
        client.delete(key)


@pytest.fixture
def relay(loaded):
    return Relay(OutboxBroker(redis_url=settings.REDIS_URL, options=loaded), loaded)


def sent(context, count=1):
    with organization(context):
        return [send(name="test.relayed", payload={}) for _ in range(count)]


def due():
    with relay_schema(), connection.cursor() as cursor:
        cursor.execute("UPDATE public.outbox_message SET available_at = now() - interval '1 second'")


def undispatched():
    with relay_schema(), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM public.outbox_message WHERE dispatched_at IS NULL")
        return cursor.fetchone()[0]


def in_redis(loaded):
    client = redis.Redis.from_url(settings.REDIS_URL)
    return client.llen(f"{loaded.namespace}:default")


def test_a_sweep_sends_what_is_due_and_tells_redis_ids_only(org_a, relay, loaded):
    (message_id,) = sent(org_a)
    assert relay.sweep() == 1
    assert relay.sweep() == 0
    (body,) = redis.Redis.from_url(settings.REDIS_URL).hvals(f"{loaded.namespace}:default.msgs")
    assert str(message_id).encode() in body
    assert org_a.role_name.encode() not in body


def test_a_suspended_organization_keeps_its_messages_and_its_peace(org_a, org_b, relay, loaded):
    sent(org_a, 3)
    sent(org_b, 2)
    with public_schema():
        Organization.objects.filter(id=org_a.id).update(status="suspended")
    directory.forget()
    assert relay.sweep() == 2
    assert undispatched() == 3
    due()
    with public_schema():
        Organization.objects.filter(id=org_a.id).update(status="active")
    directory.forget()
    assert set(relay._held) == {org_a.role_name}
    relay._held.clear()
    assert relay.sweep() >= 3


def test_without_a_redis_the_messages_stay_due(org_a, loaded):
    sent(org_a, 3)
    lonely = Relay(OutboxBroker(redis_url=NOBODY, options=loaded), loaded)
    with pytest.raises(redis.RedisError):
        lonely.sweep()
    assert undispatched() == 3


def test_a_hint_wakes_the_relay(live_db, org_a, loaded):
    """With a sweep every ten minutes, only the hint can have brought the message."""
    patient = {"namespace": loaded.namespace, "sweep_seconds": 600}
    stop = threading.Event()
    with override_settings(OUTBOX=patient):
        thread = threading.Thread(target=lambda: (run(stop=stop), connection.close()))
        thread.start()
        client = redis.Redis.from_url(settings.REDIS_URL)
        until(lambda: client.pubsub_numsub(hints.channel())[0][1] == 1)
        with organization(org_a), transaction.atomic():
            send(name="test.relayed", payload={})
        until(lambda: in_redis(loaded) == 1)
        stop.set()
        client.publish(hints.channel(), b"1")
        thread.join()


def test_the_relay_outlives_trouble(live_db, org_a, loaded):
    """Redis is not there when the relay starts; the message goes out when it is."""
    stop = threading.Event()
    options_ = {"namespace": loaded.namespace, "sweep_seconds": 0.05}
    with override_settings(OUTBOX=options_):
        broker = OutboxBroker(redis_url=NOBODY, options=options.load())
        troubled = Relay(broker, options.load())
        thread = threading.Thread(target=lambda: (troubled.run(stop), connection.close()))
        thread.start()
        with organization(org_a), transaction.atomic():
            send(name="test.relayed", payload={})
        time.sleep(0.3)
        assert thread.is_alive()
        troubled.broker = OutboxBroker(redis_url=settings.REDIS_URL, options=options.load())
        until(lambda: in_redis(loaded) == 1)
        stop.set()
        thread.join()


def test_a_dead_redis_does_not_hold_requests_up(live_db, org_a, monkeypatch):
    monkeypatch.setattr(hints, "_client", None)
    monkeypatch.setattr(hints, "_quiet_until", 0.0)
    with override_settings(REDIS_URL=NOBODY):
        for _ in range(50):
            with organization(org_a), transaction.atomic():
                send(name="test.relayed", payload={})
    assert hints._quiet_until > time.monotonic() - 60
    monkeypatch.setattr(hints, "_client", None)
    assert undispatched() == 50


def test_one_transaction_gives_one_hint(live_db, org_a):
    with organization(org_a), transaction.atomic():
        for _ in range(5):
            send(name="test.relayed", payload={})
        assert [entry[1] for entry in connection.run_on_commit] == [hints.publish]


def test_a_name_has_one_handler():
    with pytest.raises(ValueError, match="two handlers"):
        handler("test.relayed")(lambda *, message: None)
    with pytest.raises(ValueError, match="queues"):
        handler("test.elsewhere", queue="elsewhere")
    assert "test.relayed" in registry.names()


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
