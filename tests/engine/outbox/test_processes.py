"""The real relay and real workers, killed in the middle; a real Redis, emptied in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from django.db import connection, transaction

from engine.inbox.models import InboxMessage
from engine.outbox import handler, send
from engine.tenancy.context import organization, relay_schema
from tests.harness.environment import ROOT

pytestmark = [pytest.mark.processes, pytest.mark.slow]

PATIENCE_SECONDS = 60
THREADS = 4
CAP = 2


@handler("test.effect")
def effect(*, message):
    raise AssertionError("only the worker processes run this")


@handler("test.slow", queue="webhooks", transactional=False)
def slow(*, message):
    raise AssertionError("only the worker processes run this")


@pytest.fixture
def namespace():
    name = f"ks-test-{uuid4().hex[:8]}"
    yield name
    client = redis.Redis.from_url(settings.REDIS_URL)
    for key in client.scan_iter(f"{name}*"):
        client.delete(key)


@pytest.fixture
def start(live_db, namespace):
    """Starts processes of the platform on the test's database; kills what is left of them."""
    started = []
    child = live_db.environment() | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
        "DJANGO_SETTINGS_MODULE": "tests.engine.outbox.process_settings",
        "KEYSTEAD_ORGANIZATION_CONCURRENCY": str(CAP),
        "TEST_OUTBOX": json.dumps({"namespace": namespace, "lease_seconds": 3, "visibility_seconds": 4}),
    }

    def run(*arguments):
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=child,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        kill(process)


def relay(start):
    return start("-c", "import django; django.setup(); from engine.outbox import relay; relay.run()")


def worker(start):
    return start("-m", "dramatiq", "tests.engine.outbox.process_app", "--processes", "1", "--threads", str(THREADS))


def kill(process):
    """kill -9, the whole group: dramatiq's parent would stop its children gently."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def say(context, *words, name="test.effect", **payload):
    with organization(context), transaction.atomic():
        for word in words:
            send(name=name, payload={"word": word, **payload})


def effects(context, prefix="effect"):
    with organization(context):
        names = InboxMessage.objects.filter(name__startswith=f"{prefix}:").values_list("name", flat=True)
        return Counter(name.split(":", 1)[1] for name in names)


def waiting():
    with relay_schema(), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM public.outbox_message")
        return cursor.fetchone()[0]


def until(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_kill_9_in_the_middle_leaves_each_effect_exactly_once(live_db, org_a, org_b, start):
    words = [str(number) for number in range(24)]
    relays = [relay(start), relay(start)]
    workers = [worker(start)]
    say(org_a, *words)
    say(org_b, *words)
    until(lambda: effects(org_a).total() >= 3)
    kill(workers[0])
    workers.append(worker(start))
    until(lambda: effects(org_a).total() >= 10)
    kill(relays[0])
    kill(workers[1])
    worker(start)
    until(lambda: waiting() == 0)
    assert effects(org_a) == Counter(words)
    assert effects(org_b) == Counter(words)


def test_redis_may_lose_everything(live_db, org_a, start, namespace):
    client = redis.Redis.from_url(settings.REDIS_URL)
    words = [str(number) for number in range(24)]
    relay(start)
    worker(start)
    say(org_a, *words, seconds="0.05")
    for count in (2, 6, 12):
        until(lambda count=count: effects(org_a).total() >= count)
        for key in client.scan_iter(f"{namespace}*"):
            client.delete(key)
    until(lambda: waiting() == 0)
    assert effects(org_a) == Counter(words)


def test_a_handler_longer_than_its_lease_runs_once(live_db, org_a, start):
    relay(start)
    worker(start)
    say(org_a, "long", name="test.slow", seconds="5")
    until(lambda: waiting() == 0)
    assert effects(org_a, "started") == effects(org_a, "finished") == Counter(["long"])


def test_a_flood_of_one_organization_does_not_starve_another(live_db, org_a, org_b, start):
    """a's slow messages could hold every thread for minutes; b's come through while they wait."""
    say(org_a, *[str(number) for number in range(200)], seconds="1")
    relay(start)
    worker(start)
    until(lambda: effects(org_a).total() >= CAP)
    words = [str(number) for number in range(10)]
    say(org_b, *words)
    until(lambda: effects(org_b) == Counter(words))
    assert effects(org_a).total() < 100
