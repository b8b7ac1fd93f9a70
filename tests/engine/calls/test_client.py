from __future__ import annotations

import concurrent.futures
import dataclasses
import socket
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import transaction
from prometheus_client import REGISTRY
from redis import Redis

from engine.calls import (
    CallInTransaction,
    NotSent,
    Policy,
    ProviderClient,
    ProviderRequest,
    Refused,
    Succeeded,
    Throttled,
    Unknown,
    shared_client,
)
from engine.calls.client import patient_with_nobody
from engine.calls.shared_state import BreakerPolicy
from engine.tenancy.context import NoOrganization, OrganizationContext, organization
from tests.engine.calls.servers import OK, cut, endless, half, scripted, silence, status

QUICK = Policy(connect_s=0.5, read_s=0.4, total_s=3.0, wait_initial_s=0.01, wait_max_s=0.05)


@pytest.fixture(autouse=True)
def inside() -> Iterator[None]:
    nobody = dict.fromkeys((field.name for field in dataclasses.fields(OrganizationContext) if field.init), "nobody")
    with organization(OrganizationContext(**{**nobody, "id": uuid4()})):
        yield


@pytest.fixture
def redis() -> Iterator[Redis]:
    with Redis.from_url(settings.REDIS_URL) as connection:
        yield connection


@pytest.fixture
def client(redis: Redis) -> Iterator[ProviderClient]:
    made = ProviderClient(redis, QUICK)
    yield made
    made.close()


def _request(url: str, **changes: Any) -> ProviderRequest:
    fields: dict[str, Any] = {
        "provider": "stripe",
        "account": "pacc_1",
        "operation": "payment_intents.confirm",
        "method": "POST",
        "url": url,
        "headers": {"Authorization": "Bearer sk_test_hidden"},
        "content": b"card=hidden",
    }
    return ProviderRequest(**(fields | changes))


class TestWhatBecameOfARequest:
    def test_an_answer(self, client: ProviderClient) -> None:
        with scripted(OK) as server:
            outcome = client.send(_request(server.url))
        assert isinstance(outcome, Succeeded)
        assert outcome.reply.body == b"{}"
        assert b"Authorization: Bearer sk_test_hidden" in server.requests[0]

    def test_nobody_listens(self, client: ProviderClient) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        assert client.send(_request(f"http://127.0.0.1:{port}")) == NotSent("unreachable")

    @pytest.mark.parametrize("name", ["no-such-host.invalid", "127.0.0.1:0"])
    def test_no_such_host(self, client: ProviderClient, name: str) -> None:
        assert client.send(_request(f"http://{name}/")) == NotSent("unreachable")

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (cut, "RemoteProtocolError"),
            (half, "RemoteProtocolError"),
            (silence(2), "ReadTimeout"),
            (endless, "answer_too_large"),
            (b"SMTP ready\r\n\r\n", "RemoteProtocolError"),
        ],
    )
    def test_silence_and_nonsense_are_unknown_and_sent_once(
        self, client: ProviderClient, answer: Any, reason: str
    ) -> None:
        with scripted(answer) as server:
            outcome = client.send(_request(server.url))
            assert isinstance(outcome, Unknown)
            assert outcome.reason == reason
            assert len(server.requests) == 1

    def test_a_redirect_is_not_followed(self, client: ProviderClient) -> None:
        with scripted(OK) as other, scripted(status("302 Found", f"Location: {other.url}")) as server:
            outcome = client.send(_request(server.url, method="GET"))
            assert isinstance(outcome, Unknown)
            assert other.requests == []


class TestRepeating:
    def test_a_silence_is_repeated_only_where_that_is_proven_safe(self, client: ProviderClient) -> None:
        with scripted(cut, OK) as server:
            assert isinstance(client.send(_request(server.url, repeatable=True)), Succeeded)
            assert len(server.requests) == 2

    def test_being_told_to_slow_down_is_always_repeated(self, client: ProviderClient) -> None:
        with scripted(status("429 Slow", "Retry-After: 0"), OK) as server:
            assert isinstance(client.send(_request(server.url)), Succeeded)

    def test_a_long_pause_is_the_callers_to_take(self, client: ProviderClient) -> None:
        with scripted(status("429 Slow", "Retry-After: 3600")) as server:
            outcome = client.send(_request(server.url))
            assert isinstance(outcome, Throttled)
            assert outcome.retry_after_s == 3600
            assert len(server.requests) == 1

    def test_tries_end(self, client: ProviderClient) -> None:
        with scripted(cut) as server:
            assert isinstance(client.send(_request(server.url, repeatable=True)), Unknown)
            assert len(server.requests) == QUICK.tries

    def test_a_refusal_is_not_repeated(self, client: ProviderClient) -> None:
        with scripted(status("402 Declined")) as server:
            outcome = client.send(_request(server.url, repeatable=True))
            assert isinstance(outcome, Refused)
            assert not outcome.after_unknown
            assert len(server.requests) == 1

    def test_a_refusal_after_a_silence_does_not_hide_it(self, client: ProviderClient) -> None:
        with scripted(cut, status("401 Who")) as server:
            outcome = client.send(_request(server.url, repeatable=True))
            assert isinstance(outcome, Refused)
            assert outcome.after_unknown

    def test_slowing_down_after_a_silence_is_still_unknown(self, client: ProviderClient) -> None:
        with scripted(cut, status("429 Slow", "Retry-After: 60")) as server:
            assert isinstance(client.send(_request(server.url, repeatable=True)), Unknown)


class TestTransactions:
    def test_a_call_inside_one_is_refused_before_anything_is_sent(self, client: ProviderClient, db: None) -> None:
        with scripted(OK) as server:
            with transaction.atomic(), pytest.raises(CallInTransaction):
                client.send(_request(server.url))
            assert server.requests == []
            assert isinstance(client.send(_request(server.url)), Succeeded)


class TestBreaker:
    def _client(self, redis: Redis, **changes: int) -> ProviderClient:
        breaker = dataclasses.replace(BreakerPolicy(threshold=3, cooldown_ms=200, probe_ms=5_000), **changes)
        return ProviderClient(redis, dataclasses.replace(QUICK, tries=1, breaker=breaker))

    def test_it_opens_for_every_process_and_closes_after_a_probe(self, redis: Redis) -> None:
        one, two = self._client(redis), self._client(redis)
        with scripted(cut, cut, cut, OK) as server:
            for _ in range(3):
                assert isinstance(one.send(_request(server.url)), Unknown)
            assert two.send(_request(server.url)) == NotSent("breaker_open")
            assert len(server.requests) == 3
            threading.Event().wait(0.3)
            assert isinstance(two.send(_request(server.url)), Succeeded)
            assert isinstance(one.send(_request(server.url)), Succeeded)

    def test_a_failed_probe_keeps_it_open(self, redis: Redis) -> None:
        client = self._client(redis)
        with scripted(cut) as server:
            for _ in range(3):
                client.send(_request(server.url))
            threading.Event().wait(0.3)
            assert isinstance(client.send(_request(server.url)), Unknown)
            assert client.send(_request(server.url)) == NotSent("breaker_open")

    def test_only_one_call_probes(self, redis: Redis) -> None:
        client = self._client(redis)
        with scripted(cut, cut, cut, silence(1)) as server:
            for _ in range(3):
                client.send(_request(server.url))
            threading.Event().wait(0.3)
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                outcomes = list(pool.map(lambda _: self._probe(client, server.url), range(4)))
            assert outcomes.count("breaker_open") == 3
            assert len(server.requests) == 4

    organization_of_test: OrganizationContext

    def _probe(self, client: ProviderClient, url: str) -> str:
        with organization(self.organization_of_test):
            return getattr(client.send(_request(url)), "reason", "")

    @pytest.fixture(autouse=True)
    def _remember(self, inside: None) -> None:
        from engine.tenancy.context import current_organization

        self.organization_of_test = current_organization()

    def test_refusals_do_not_open_it(self, redis: Redis) -> None:
        client = self._client(redis)
        with scripted(status("402 Declined")) as server:
            outcomes = [client.send(_request(server.url)) for _ in range(6)]
            assert all(isinstance(outcome, Refused) for outcome in outcomes)

    def test_another_account_and_another_organization_are_not_touched(self, redis: Redis) -> None:
        client = self._client(redis, cooldown_ms=60_000)
        with scripted(cut, cut, cut, OK) as server:
            for _ in range(3):
                client.send(_request(server.url))
            assert client.send(_request(server.url)) == NotSent("breaker_open")
            assert isinstance(client.send(_request(server.url, account="pacc_2")), Succeeded)
            other = dataclasses.replace(self.organization_of_test, id=uuid4())
            with organization(other):
                assert isinstance(client.send(_request(server.url)), Succeeded)

    def test_without_redis_calls_go_through(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        client = self._client(patient_with_nobody(f"redis://127.0.0.1:{port}/0"))
        with scripted(OK) as server:
            assert isinstance(client.send(_request(server.url)), Succeeded)


def test_an_account_has_a_bounded_number_of_calls(redis: Redis) -> None:
    from engine.tenancy.context import current_organization

    context = current_organization()
    client = ProviderClient(redis, dataclasses.replace(QUICK, tries=1, read_s=2.0, slots=2))

    def one(_: int) -> str:
        with organization(context):
            return type(client.send(_request(server.url))).__name__

    def slow(connection: socket.socket) -> None:
        threading.Event().wait(0.7)
        connection.sendall(OK)

    with scripted(slow) as server, concurrent.futures.ThreadPoolExecutor(5) as pool:
        outcomes = sorted(pool.map(one, range(5)))
        assert outcomes == ["NotSent"] * 3 + ["Succeeded"] * 2
        assert one(0) == "Succeeded"


def test_nothing_secret_is_logged_and_calls_are_counted(
    client: ProviderClient, caplog: pytest.LogCaptureFixture
) -> None:
    labels = {"provider": "stripe", "operation": "payment_intents.confirm", "outcome": "succeeded"}
    before = REGISTRY.get_sample_value("keystead_provider_calls_total", labels) or 0
    # As the handlers get it: structlog's own capture misses a logger that was cached under an earlier configuration.
    with scripted(OK) as server, caplog.at_level("INFO", logger="engine.calls.client"):
        client.send(_request(f"{server.url}/v1/x?key=hidden"))
    assert [vars(record)["msg"]["event"] for record in caplog.records] == ["calls.answered"]
    assert "hidden" not in repr([vars(record) for record in caplog.records])
    assert "hidden" not in repr(_request(server.url))
    assert REGISTRY.get_sample_value("keystead_provider_calls_total", labels) == before + 1


def test_outside_every_context_nothing_is_sent(client: ProviderClient) -> None:
    import contextvars

    with scripted(OK) as server:
        with pytest.raises(NoOrganization):
            contextvars.Context().run(client.send, _request(server.url))
        assert server.requests == []


def test_a_process_has_one_client() -> None:
    assert shared_client() is shared_client()


def test_a_cookie_that_one_organization_got_is_not_sent_for_another(client: ProviderClient) -> None:
    cookie = status("200 OK", "Set-Cookie: account=acme; Path=/")
    with scripted(cookie) as server:
        client.send(_request(server.url))
        client.send(_request(server.url))
    assert len(server.requests) == 2
    assert b"cookie" not in server.requests[1].lower()
