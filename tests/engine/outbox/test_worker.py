"""A worker in this process: the real broker, threads and lease keeper."""

from __future__ import annotations

import threading
import time
from uuid import uuid4

import dramatiq
import pytest
import redis
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings

from engine.inbox.models import InboxMessage
from engine.outbox import handler, send
from engine.outbox.options import load
from engine.outbox.relay import Relay
from engine.outbox.worker import build_broker
from engine.tenancy import context
from engine.tenancy.context import organization, relay_schema

gates: dict[str, threading.Event] = {}


@handler("test.worked")
def worked(*, message):
    InboxMessage.objects.create(id=uuid4(), name="effect")


@handler("test.gated", queue="payments", transactional=False)
def gated(*, message):
    gates["begun"].set()
    assert gates["go"].wait(30)


@pytest.fixture
def system(live_db):
    """A relay to sweep with and a running worker, over a namespace of their own."""
    namespace = f"ks-test-{uuid4().hex[:8]}"
    before = dramatiq.get_broker()
    with override_settings(OUTBOX={"namespace": namespace, "lease_seconds": 0.6, "visibility_seconds": 60}):
        broker = build_broker(settings)
        worker = dramatiq.Worker(broker, worker_threads=3, worker_timeout=50)
        worker.start()
        yield Relay(broker, load())
        worker.stop()
        dramatiq.set_broker(before)
    client = redis.Redis.from_url(settings.REDIS_URL)
    for key in client.scan_iter(f"{namespace}*"):
        client.delete(key)


def say(org, name):
    with organization(org), transaction.atomic():
        return send(name=name, payload={})


def rows(column="id"):
    with relay_schema(), connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM public.outbox_message")
        return [row[0] for row in cursor.fetchall()]


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_a_message_is_worked_off(system, org_a, org_b):
    for org in (org_a, org_b):
        say(org, "test.worked")
    assert system.sweep() == 2
    until(lambda: rows() == [])
    for org in (org_a, org_b):
        with organization(org):
            assert InboxMessage.objects.filter(name="effect").count() == 1


def test_a_lease_is_renewed_while_the_handler_works(system, org_a):
    gates.update(begun=threading.Event(), go=threading.Event())
    say(org_a, "test.gated")
    system.sweep()
    assert gates["begun"].wait(30)
    (first,) = rows("available_at")
    until(lambda: rows("available_at") > [first])
    assert system.sweep() == 0
    assert rows("attempts") == [1]
    gates["go"].set()
    until(lambda: rows() == [])


def test_a_worker_thread_is_left_without_a_context(system, org_a, monkeypatch):
    """Whatever a message did, the thread that ran it stands outside every context afterwards."""
    seen = []
    from engine.outbox import worker

    say(org_a, "test.worked")
    monkeypatch.setattr(worker.hints, "publish", lambda: seen.append(context.current_schema()))
    system.sweep()
    until(lambda: rows() == [] and len(seen) == 1)
    assert seen == [None]


def test_an_unreachable_outbox_leaves_the_message(system, org_a, monkeypatch):
    from django.db import OperationalError

    from engine.outbox import worker

    def fail(*arguments, **options):
        raise OperationalError("gone")

    message_id = say(org_a, "test.worked")
    done = threading.Event()
    monkeypatch.setattr(worker, "execute", fail)
    monkeypatch.setattr(worker.hints, "publish", done.set)
    system.sweep()
    assert done.wait(30)
    assert rows() == [message_id]
