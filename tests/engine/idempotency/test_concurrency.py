"""Two requests at the same moment, in real transactions on real connections."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from engine.idempotency import services
from engine.idempotency.models import IdempotencyKey
from engine.idempotency.services import Answer, Command, InProgress
from engine.tenancy.context import OrganizationContext, organization
from tests.engine.api.sample import MEMBER

pytestmark = pytest.mark.usefixtures("live_db")


def command(key: str) -> Command:
    return Command(principal=MEMBER, endpoint="POST v1/x", key=key, body={})


def in_threads(context: OrganizationContext, count: int, call) -> list:
    def enter(index: int):
        try:
            with organization(context):
                return call(index)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(enter, range(count)))


def test_the_second_of_two_at_once_is_told_to_wait(org_a: OrganizationContext) -> None:
    inside, leave = threading.Event(), threading.Event()
    effects: list[int] = []

    def act() -> Answer:
        effects.append(1)
        inside.set()
        assert leave.wait(10)
        return Answer(201, b"{}")

    def call(index: int) -> object:
        if index == 0:
            return services.run(command=command("k"), act=act)
        assert inside.wait(10)
        try:
            return services.run(command=command("k"), act=act)
        except InProgress as refused:
            return refused
        finally:
            leave.set()

    first, second = in_threads(org_a, 2, call)
    assert isinstance(first, Answer)
    assert isinstance(second, InProgress)
    assert len(effects) == 1


def test_a_storm_of_repeats_has_one_effect_for_each_key(org_a: OrganizationContext) -> None:
    effects: list[str] = []

    def call(index: int) -> list[int]:
        seen = []
        for turn in range(10):
            key = f"key-{turn}"

            def act(key: str = key) -> Answer:
                effects.append(key)
                return Answer(201, key.encode())

            try:
                answer = services.run(command=command(key), act=act)
                assert answer.content == key.encode()
                seen.append(answer.status)
            except InProgress:
                seen.append(409)
        return seen

    results = in_threads(org_a, 6, call)
    assert sorted(effects) == sorted(f"key-{turn}" for turn in range(10))
    assert {status for seen in results for status in seen} <= {201, 409}
    with organization(org_a):
        assert IdempotencyKey.objects.count() == 10


def test_only_one_of_many_resumes_a_command_whose_lease_is_over(org_a: OrganizationContext) -> None:
    def die(_: str) -> Answer:
        raise ZeroDivisionError

    with organization(org_a), pytest.raises(ZeroDivisionError):
        services.run_in_two_phases(command=command("k"), begin=lambda: "pay_1", finish=die)

    gate = threading.Barrier(4, timeout=10)
    finished: list[str] = []

    def finish(intent: str) -> Answer:
        finished.append(intent)
        return Answer(200, b"{}")

    def call(_: int) -> str:
        gate.wait()
        try:
            answer = services.run_in_two_phases(command=command("k"), begin=lambda: "pay_2", finish=finish)
        except InProgress:
            return "busy"
        return "replayed" if answer.replayed else "done"

    results = in_threads(org_a, 4, call)
    assert results.count("done") == 1
    assert finished == ["pay_1"]
