"""One effect and one answer, in one transaction or in two phases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.idempotency import services
from engine.idempotency.models import IdempotencyKey
from engine.idempotency.services import Answer, Command, InProgress, KeyReused
from engine.principals import Principal
from engine.tenancy.context import OrganizationContext, organization
from tests.engine.api.sample import MEMBER

pytestmark = pytest.mark.usefixtures("in_org_a")

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


def command(body: object = None, key: str = "k", principal: Principal | None = MEMBER) -> Command:
    return Command(principal=principal, endpoint="POST v1/x", key=key, body=body)


class Effect:
    """Counts how often it happened."""

    def __init__(self, status: int = 201) -> None:
        self.count = 0
        self.status = status

    def __call__(self, *_: object) -> Answer:
        self.count += 1
        return Answer(self.status, f'{{"token":"tok-{self.count}"}}'.encode(), {"Location": "/v1/x/1"})


def at(moment: datetime):
    return lambda: moment


def test_a_repeat_gets_the_first_answer_without_a_second_effect() -> None:
    effect = Effect()
    first = services.run(command=command({"a": 1}), act=effect)
    again = services.run(command=command({"a": 1}), act=effect)
    assert effect.count == 1
    assert (again.status, again.content, again.headers) == (first.status, first.content, first.headers)
    assert (first.replayed, again.replayed) == (False, True)


def test_the_table_holds_neither_the_key_nor_the_answer() -> None:
    services.run(command=command(key="my-own-key"), act=Effect())
    row = IdempotencyKey.objects.get()
    stored = bytes(row.sealed_answer or b"") + bytes(row.key_hash) + bytes(row.body_hash) + repr(row.__dict__).encode()
    assert b"tok-1" not in stored
    assert b"my-own-key" not in stored


def test_another_body_is_refused() -> None:
    effect = Effect()
    services.run(command=command({"a": 1}), act=effect)
    with pytest.raises(KeyReused):
        services.run(command=command({"a": 2}), act=effect)
    assert effect.count == 1


def test_keys_of_different_callers_are_different_keys() -> None:
    effect = Effect()
    services.run(command=command(), act=effect)
    services.run(command=command(principal=Principal("app", MEMBER.id)), act=effect)
    services.run(command=command(principal=None), act=effect)
    assert effect.count == 3


@pytest.mark.usefixtures("in_org_a")
def test_keys_of_different_organizations_are_different_keys(org_b: OrganizationContext) -> None:
    effect = Effect()
    services.run(command=command(), act=effect)
    with organization(org_b):
        services.run(command=command(), act=effect)
    assert effect.count == 2


@pytest.mark.parametrize("status", [400, 409, 422, 429, 500])
def test_a_refusal_is_not_stored_and_undoes_what_was_done(status: int) -> None:
    def act() -> Answer:
        services.run(command=command(key="inner"), act=Effect())
        return Answer(status, b"{}")

    assert services.run(command=command(), act=act).status == status
    assert not IdempotencyKey.objects.exists()


def test_an_error_leaves_the_key_unused() -> None:
    def fail() -> Answer:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        services.run(command=command(), act=fail)
    effect = Effect()
    services.run(command=command({"other": "body"}), act=effect)
    assert effect.count == 1


def test_two_phases_store_the_answer_of_the_second() -> None:
    begun, effect = [], Effect()

    def begin() -> str:
        begun.append(1)
        return "pay_1"

    for _ in range(2):
        answer = services.run_in_two_phases(command=command(), begin=begin, finish=effect)
    assert (len(begun), effect.count) == (1, 1)
    assert answer.replayed
    assert answer.content == b'{"token":"tok-1"}'


def test_a_run_that_died_is_resumed_after_its_lease_and_not_before() -> None:
    intents = iter(["pay_1", "pay_2"])
    seen = []

    def die(_: str) -> Answer:
        # As after kill -9: nothing ends the lease.
        IdempotencyKey.objects.update(lease_until=NOW + timedelta(seconds=60), intent="pay_1")
        raise ZeroDivisionError

    def finish(intent: str) -> Answer:
        seen.append(intent)
        return Answer(200, b"{}")

    def run(moment: datetime, finish) -> Answer:
        return services.run_in_two_phases(
            command=command({"a": 1}), begin=lambda: next(intents), finish=finish, clock=at(moment)
        )

    with pytest.raises(ZeroDivisionError):
        run(NOW + timedelta(seconds=1), die)
    with pytest.raises(InProgress) as caught:
        run(NOW + timedelta(seconds=59), finish)
    assert caught.value.extra["retry_after"] == 2
    assert run(NOW + timedelta(seconds=60), finish).status == 200
    assert seen == ["pay_1"]
    assert next(intents) == "pay_2"


def test_an_error_in_the_second_phase_ends_the_lease_at_once() -> None:
    def fail(_: str) -> Answer:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        services.run_in_two_phases(command=command(), begin=lambda: "pay_1", finish=fail, clock=at(NOW))
    effect = Effect()
    services.run_in_two_phases(command=command(), begin=lambda: "pay_2", finish=effect, clock=at(NOW))
    assert effect.count == 1
    assert IdempotencyKey.objects.get().intent == "pay_1"


def test_an_unfinished_command_refuses_another_body() -> None:
    def fail(_: str) -> Answer:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        services.run_in_two_phases(command=command({"a": 1}), begin=lambda: "pay_1", finish=fail)
    with pytest.raises(KeyReused):
        services.run_in_two_phases(command=command({"a": 2}), begin=lambda: "pay_2", finish=Effect())


def test_a_server_error_of_the_second_phase_is_not_the_answer_for_ever() -> None:
    services.run_in_two_phases(command=command(), begin=lambda: "pay_1", finish=Effect(503), clock=at(NOW))
    answer = services.run_in_two_phases(command=command(), begin=lambda: "pay_2", finish=Effect(201), clock=at(NOW))
    assert (answer.status, answer.replayed) == (201, False)


def test_a_run_that_outlived_its_lease_leaves_the_answer_of_the_other() -> None:
    def slow(_: str) -> Answer:
        services.run_in_two_phases(
            command=command(),
            begin=lambda: "pay_2",
            finish=lambda intent: Answer(201, intent.encode()),
            clock=at(NOW + timedelta(minutes=5)),
        )
        return Answer(202, b"late")

    services.run_in_two_phases(command=command(), begin=lambda: "pay_1", finish=slow, clock=at(NOW))
    kept = services.run_in_two_phases(command=command(), begin=lambda: "pay_3", finish=slow)
    assert (kept.status, kept.content) == (201, b"pay_1")


def test_purge_keeps_a_day_and_deletes_the_rest() -> None:
    for hours in (1, 23, 47, 49, 100):
        services.run(command=command(key=str(hours)), act=Effect(), clock=at(NOW - timedelta(hours=hours)))
    with pytest.raises(ValueError, match="24 hours"):
        services.purge(older_than=timedelta(hours=23), clock=at(NOW))
    assert [services.purge(clock=at(NOW), limit=1) for _ in range(3)] == [1, 1, 0]
    assert IdempotencyKey.objects.count() == 3


@pytest.mark.parametrize("key", ["", " ", " a", "a ", "ü", "a\tb", "a\n", "x" * 256, "\x7f"])
def test_a_key_that_is_not_printable_ascii_is_refused(key: str) -> None:
    with pytest.raises(services.InvalidKey):
        services.check_key(key, required=False)


@pytest.mark.parametrize("key", ["a", "x" * 255, "a b", "8e03978e-40d5-43dd-bc93-6894a57f9324"])
def test_other_keys_are_taken(key: str) -> None:
    assert services.check_key(key, required=True) == key


def test_a_missing_key_matters_only_when_required() -> None:
    assert services.check_key(None, required=False) is None
    with pytest.raises(services.KeyRequired):
        services.check_key(None, required=True)


def test_a_new_secret_of_the_platform_forgets_no_key(settings) -> None:
    effect = Effect()
    services.run(command=command({"a": 1}), act=effect)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another" * 10, [settings.SECRET_KEY]
    again = services.run(command=command({"a": 1}), act=effect)
    assert (again.replayed, again.content) == (True, b'{"token":"tok-1"}')
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(KeyReused):
        services.run(command=command({"a": 1}), act=effect)
    assert effect.count == 1
