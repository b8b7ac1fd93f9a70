"""The gateway's protocol, against a real server on a real socket."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.test import override_settings
from websockets.exceptions import ConnectionClosed, InvalidStatus

from engine import ids
from engine.principals import SYSTEM
from engine.tenancy import directory
from engine.tenancy.context import OrganizationContext, organization, public_schema
from shared.organizations.models import Organization
from tenants.devices import services
from tenants.devices.adapters import hints
from tenants.devices.adapters.hints import Hint
from tenants.devices.gateway import registry
from tenants.devices.gateway.closing import Close
from tenants.devices.gateway.limits import Limits
from tenants.devices.models import Device, DeviceCommand, GatewaySession
from tenants.devices.rules import proofs
from tests.factories.device_keys import DeviceKey
from tests.factories.devices import Enrolled, enrolled
from tests.factories.gateway import Gateway, authenticate, gateway, line, ready_line
from tests.harness.live import LiveDatabase, live_database

# One database, and what runs on it, for the module: keep its tests on one worker.
pytestmark = pytest.mark.xdist_group("gateway")

LIMITS = Limits(recheck_interval_s=0.5, presence_interval_s=0.3, redeliver_after_s=1)


@pytest.fixture(scope="module")
def live_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[LiveDatabase]:
    """One database for the whole module: its tests use devices of their own."""
    with django_db_blocker.unblock(), live_database() as database:
        yield database


@pytest.fixture(scope="module")
def served(live_db: LiveDatabase) -> Iterator[Gateway]:
    with gateway(LIMITS) as running:
        yield running


@pytest.fixture
def device(live_db: LiveDatabase, org_a: OrganizationContext) -> Enrolled:
    return enrolled(org_a)


async def in_thread(org: OrganizationContext, call: Any) -> Any:
    def entered() -> Any:
        with organization(org):
            return call()

    return await sync_to_async(entered, thread_sensitive=True)()


async def until(check: Any, *, within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not await check():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.05)


# --- The handshake and the proof ---------------------------------------------------------------------


async def test_a_device_proves_its_key_and_is_ready(served: Gateway, device: Enrolled) -> None:
    async with line(served, device.gateway_url) as opened:
        ready = await authenticate(opened, device)
        assert ready["type"] == "ready"
        assert ready["heartbeat_interval_ms"] == LIMITS.heartbeat_interval_ms
        assert ids.encode("gws", ids.decode("gws", ready["session"])) == ready["session"]
        assert await opened.ask({"type": "heartbeat", "id": "b1"}) == {"type": "heartbeat", "re": "b1"}


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        ("ws://nobody.keystead.test/v1/gateway", 404, "unknown_host"),
        ("ws://keystead.test/v1/gateway", 404, "unknown_host"),
        ("ws://platform.keystead.test/v1/gateway", 404, "unknown_host"),
        ("ws://org-a.keystead.test.evil.example/v1/gateway", 404, "unknown_host"),
        ("ws://org-a.keystead.test/v1/other", 404, "not_found"),
        ("ws://org-a.keystead.test/", 404, "not_found"),
    ],
)
async def test_an_unknown_host_or_path_gets_no_socket(served: Gateway, url: str, status: int, code: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with line(served, url):
            pass
    assert caught.value.response.status_code == status
    assert json.loads(caught.value.response.body)["code"] == code


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"typ": "JWT"}, "wrong_typ"),
        ({"typ": proofs.CLAIM}, "wrong_typ"),
        ({"audience": "ws://org-b.keystead.test/v1/gateway"}, "wrong_aud"),
        ({"nonce": "another"}, "wrong_nonce"),
        ({"iat": 1}, "wrong_moment"),
        ({"sub": "dev_00000000000000000000000000"}, "wrong_signature"),
        ({"credential": "cred_00000000000000000000000000"}, "wrong_signature"),
        ({"sub": "nonsense"}, "malformed"),
        ({"extra": "claim"}, "wrong_claims"),
    ],
)
async def test_a_proof_for_something_else_is_refused(
    served: Gateway, device: Enrolled, changes: dict[str, Any], reason: str
) -> None:
    async with line(served, device.gateway_url) as opened:
        answer = await authenticate(opened, device, **changes)
        assert (answer["type"], answer["code"]) == ("error", "not_authenticated")
        assert reason in answer["detail"]
        assert await opened.close_code() == Close.NOT_AUTHENTICATED


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}, {"crit": ["b64"]}])
async def test_another_algorithm_is_refused(served: Gateway, device: Enrolled, header: dict[str, Any]) -> None:
    async with line(served, device.gateway_url) as opened:
        nonce = (await opened.receive())["nonce"]
        claims = {
            "aud": device.gateway_url,
            "iat": int(time.time()),
            "nonce": nonce,
            "sub": device.public_id,
            "credential": ids.encode("cred", device.credential_id),
        }
        await opened.send({"type": "authenticate", "token": device.key.jws(claims, **header)})
        assert await opened.close_code() == Close.NOT_AUTHENTICATED


async def test_a_proof_that_was_overheard_opens_nothing(served: Gateway, device: Enrolled) -> None:
    async with line(served, device.gateway_url) as first:
        token = device.gateway_proof(nonce=(await first.receive())["nonce"])
        assert (await first.ask({"type": "authenticate", "token": token}))["type"] == "ready"
        again = await first.ask({"type": "authenticate", "token": token})
        assert (again["type"], again["code"]) == ("error", "invalid_frame")
    async with line(served, device.gateway_url) as second:
        await second.receive()
        answer = await second.ask({"type": "authenticate", "token": token})
        assert "wrong_nonce" in answer["detail"]
        assert await second.close_code() == Close.NOT_AUTHENTICATED


async def test_a_nonce_opens_one_session_ever(device: Enrolled) -> None:
    token = device.gateway_proof(nonce=f"only {device.public_id}")
    values = {"token": token, "nonce": f"only {device.public_id}", "audience": device.gateway_url}

    def twice() -> None:
        services.open_session(**values)
        with pytest.raises(services.NotProvenError) as caught:
            services.open_session(**values)
        assert caught.value.extra == {"reason": "nonce_used"}
        assert GatewaySession.objects.filter(device_id=device.id).count() == 1

    await in_thread(device.organization, twice)


async def test_another_organizations_device_is_a_stranger(
    served: Gateway, device: Enrolled, org_b: OrganizationContext
) -> None:
    url_b = device.gateway_url.replace("org-a", "org-b")
    async with line(served, url_b) as opened:
        # It even signs the right audience: what it lacks is a key that org b knows.
        answer = await authenticate(opened, device, audience=url_b)
        assert "wrong_signature" in answer["detail"]
        assert await opened.close_code() == Close.NOT_AUTHENTICATED


async def test_nothing_is_done_before_the_proof(served: Gateway, device: Enrolled) -> None:
    async with line(served, device.gateway_url) as opened:
        await opened.receive()
        answer = await opened.ask({"type": "profile"})
        assert (answer["code"], answer["field"]) == ("invalid_frame", "type")


async def test_who_does_not_prove_anything_is_closed(live_db: LiveDatabase, device: Enrolled) -> None:
    with gateway(Limits(authenticate_within_s=0.3)) as served:
        async with line(served, device.gateway_url) as opened:
            assert await opened.close_code() == Close.NOT_AUTHENTICATED


# --- Frames --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", None),
        ("{", None),
        ("[]", None),
        ("null", None),
        ('{"type":"profile","type":"profile"}', None),
        ('{"type":"profile","id":NaN}', None),
        ("[" * 20_000, None),
        ('{"type":"heartbeat","id":' + "9" * 6000 + "}", None),
        (b"\x00\x01", None),
        ("{}", "type"),
        ('{"type":7}', "type"),
        ('{"type":{"a":1}}', "type"),
        ('{"type":"launch"}', "type"),
        ('{"type":"profile","surprise":1}', "surprise"),
        ('{"type":"profile","id":5}', "id"),
        ('{"type":"profile","id":"\\ud800"}', "id"),
        ('{"type":"profile","\\ud800":1}', None),
        ('{"type":"acknowledge","command":"cmd_1"}', "command"),
        ('{"type":"acknowledge","command":"\\u0000"}', "command"),
        ('{"type":"acknowledge"}', "command"),
    ],
)
async def test_a_malformed_frame_is_refused_and_the_socket_lives_on(
    served: Gateway, device: Enrolled, text: str | bytes, field: str | None
) -> None:
    async with ready_line(served, device) as opened:
        answer = await opened.ask(text)
        assert (answer["type"], answer["code"]) == ("error", "invalid_frame")
        assert answer.get("field") == field
        assert (await opened.ask({"type": "heartbeat"}))["type"] == "heartbeat"


@pytest.mark.parametrize("size", [40_000, 200_000])
async def test_an_oversized_frame_closes_the_socket(served: Gateway, device: Enrolled, size: int) -> None:
    async with ready_line(served, device) as opened:
        await opened.send('{"type":"' + "x" * size + '"}')
        assert await opened.close_code() == Close.MESSAGE_TOO_BIG


async def test_a_device_that_sends_nonsense_for_ever_is_closed(served: Gateway, device: Enrolled) -> None:
    async with ready_line(served, device) as opened:
        for _ in range(LIMITS.faults_max):
            await opened.send("nonsense")
        assert await opened.close_code() == Close.TOO_MANY_FAULTS


async def test_a_device_that_is_too_fast_is_closed(served: Gateway, device: Enrolled) -> None:
    async with ready_line(served, device) as opened:
        for _ in range(LIMITS.frames_burst + 20):
            await opened.send({"type": "heartbeat"})
        assert await opened.close_code() == Close.TOO_FAST


async def test_a_silent_device_is_closed_and_a_talking_one_is_not(live_db: LiveDatabase, device: Enrolled) -> None:
    other = await sync_to_async(enrolled)(device.organization)
    with gateway(Limits(silence_max_s=0.6)) as served:
        async with ready_line(served, device) as silent, ready_line(served, other) as talking:
            closing = asyncio.create_task(silent.close_code())
            for _ in range(8):
                await asyncio.sleep(0.2)
                assert (await talking.ask({"type": "heartbeat"}))["type"] == "heartbeat"
            assert await closing == Close.SILENT


async def test_a_device_that_does_not_read_is_cut_off(live_db: LiveDatabase, device: Enrolled) -> None:
    from tenants.devices.gateway.frames import Command

    heavy = Command(command="cmd_x", name="noise", body={"text": "x" * 60_000})
    with gateway(Limits(send_queue_max=8, send_within_s=0.5)) as served:
        async with ready_line(served, device, max_queue=1) as opened:
            (socket,) = served.dispatcher.sockets()
            opened.socket.transport.pause_reading()
            for _ in range(400):
                served.loop.call_soon_threadsafe(socket.push, heavy)
                await asyncio.sleep(0.005)
                if not len(served.dispatcher):
                    break

            async def gone() -> bool:
                return len(served.dispatcher) == 0

            await until(gone)
            opened.socket.transport.abort()

    def session() -> int | None:
        return GatewaySession.objects.get(device_id=device.id).close_code

    assert await in_thread(device.organization, session) == Close.SLOW


# --- Revocation, replacement, presence --------------------------------------------------------------


async def test_a_revoked_device_is_closed_at_once(served: Gateway, device: Enrolled) -> None:
    async with ready_line(served, device) as opened:
        await in_thread(device.organization, lambda: services.revoke(device_id=device.id, by=SYSTEM))
        assert await opened.close_code() == Close.REVOKED
    async with line(served, device.gateway_url) as opened:
        assert "revoked" in (await authenticate(opened, device))["detail"]


async def test_a_revocation_whose_hint_was_lost_is_found_all_the_same(served: Gateway, device: Enrolled) -> None:
    def revoked_without_a_word() -> None:
        Device.objects.filter(id=device.id).update(status="revoked", revoked_at="2026-01-01T00:00Z")

    async with ready_line(served, device) as opened:
        await in_thread(device.organization, revoked_without_a_word)
        async with asyncio.timeout(5):
            assert await opened.close_code() == Close.REVOKED


async def test_a_socket_to_a_schema_that_went_out_of_use_is_closed(
    served: Gateway, device: Enrolled, live_db: LiveDatabase
) -> None:
    def switch(schema: str) -> None:
        with psycopg.connect(live_db.owner_url) as owner:
            owner.execute(
                "UPDATE public.organizations_organization SET schema_name = %s WHERE id = %s",
                [schema, device.organization.id],
            )
        directory.forget()

    try:
        async with ready_line(served, device) as opened:
            await sync_to_async(switch)("ks_o_restored")
            async with asyncio.timeout(5):
                assert await opened.close_code() == Close.REVOKED
    finally:
        await sync_to_async(switch)(device.organization.schema_name)


async def test_a_suspended_organization_has_no_gateway(
    served: Gateway, org_b: OrganizationContext, device: Enrolled
) -> None:
    theirs = await sync_to_async(enrolled)(org_b)

    def put_into(status: str) -> None:
        with public_schema():
            Organization.objects.filter(id=org_b.id).update(status=status)
        directory.forget()

    async with (
        ready_line(served, theirs) as opened,
        ready_line(served, device) as neighbour,
        line(served, theirs.gateway_url) as unproven,
    ):
        await sync_to_async(put_into)("suspended")
        try:
            async with asyncio.timeout(5):
                assert await opened.close_code() == Close.REVOKED
            nonce = (await unproven.receive())["nonce"]
            await unproven.send({"type": "authenticate", "token": theirs.gateway_proof(nonce=nonce)})
            assert await unproven.close_code() == Close.REVOKED
            with pytest.raises(InvalidStatus) as caught:
                async with line(served, theirs.gateway_url):
                    pass
            assert caught.value.response.status_code == 403
            assert json.loads(caught.value.response.body)["code"] == "organization_suspended"
            assert (await neighbour.ask({"type": "heartbeat"}))["type"] == "heartbeat"
        finally:
            await sync_to_async(put_into)("active")
    async with ready_line(served, theirs) as opened:
        assert (await opened.ask({"type": "profile"}))["device"] == theirs.public_id


async def test_a_second_session_of_a_device_ends_the_first(served: Gateway, device: Enrolled) -> None:
    async with ready_line(served, device) as first, ready_line(served, device) as second:
        assert await first.close_code() == Close.REPLACED
        assert (await second.ask({"type": "heartbeat"}))["type"] == "heartbeat"


async def test_a_second_session_at_another_process_ends_the_first(served: Gateway, device: Enrolled) -> None:
    with gateway(LIMITS) as other:
        async with ready_line(served, device) as first, ready_line(other, device) as second:
            assert await first.close_code() == Close.REPLACED
            assert (await second.ask({"type": "heartbeat"}))["type"] == "heartbeat"


async def test_a_device_changes_its_key_and_the_first_session_of_the_new_one_ends_the_old(
    served: Gateway, device: Enrolled
) -> None:
    key = DeviceKey()
    async with ready_line(served, device) as opened:
        frame = device.rotate_key_frame(key)
        answer = await opened.ask(frame)
        assert answer["type"] == "key_accepted"
        assert await opened.ask(frame) == answer
        assert (await opened.ask({"type": "profile"}))["device"] == device.public_id
        renewed = dataclasses.replace(device, key=key, credential_id=ids.decode("cred", answer["credential"]))
        async with ready_line(served, renewed) as again:
            assert await opened.close_code() in {Close.REVOKED, Close.REPLACED}
            assert (await again.ask({"type": "profile"}))["device"] == device.public_id
    async with line(served, device.gateway_url) as opened:
        assert "credential_replaced" in (await authenticate(opened, device))["detail"]


async def test_a_quarantined_device_is_there_and_does_no_work(served: Gateway, device: Enrolled) -> None:
    async with ready_line(served, device) as opened:
        await in_thread(device.organization, lambda: services.quarantine(device_id=device.id, by=SYSTEM))
        command = await opened.receive()
        assert (command["type"], command["name"]) == ("command", "device.quarantined")
        refused = await opened.ask({"type": "rotate_key", "public_key": {}, "proof": "", "endorsement": ""})
        assert (refused["type"], refused["code"]) == ("error", "device_quarantined")
        assert (await opened.ask({"type": "heartbeat"}))["type"] == "heartbeat"
        assert (await opened.ask({"type": "profile"}))["type"] == "profile"
        await opened.ask({"type": "acknowledge", "command": command["command"]})
    async with line(served, device.gateway_url) as opened:
        assert (await authenticate(opened, device))["status"] == "quarantined"
    await in_thread(device.organization, lambda: services.release(device_id=device.id, by=SYSTEM))
    async with line(served, device.gateway_url) as opened:
        assert (await authenticate(opened, device))["status"] == "active"


async def test_a_frame_of_a_revoked_device_is_refused_although_its_socket_is_open(
    live_db: LiveDatabase, device: Enrolled, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither the hint nor the look that finds what hints did not say.
    monkeypatch.setattr(hints, "after_commit", lambda *_, **__: None)
    with gateway(dataclasses.replace(LIMITS, recheck_interval_s=3600)) as served:
        async with ready_line(served, device) as opened:
            await in_thread(device.organization, lambda: services.revoke(device_id=device.id, by=SYSTEM))
            answer = await opened.ask({"type": "profile"})
            assert (answer["type"], answer["code"]) == ("error", "device_revoked")
            assert await opened.close_code() == Close.REVOKED


async def test_presence_is_seen_and_ends_with_the_socket(served: Gateway, device: Enrolled) -> None:
    def online() -> bool | None:
        return hints.online(device_ids=[device.id])[device.id]

    async def is_online() -> bool:
        return bool(await in_thread(device.organization, online))

    async def is_offline() -> bool:
        return not await is_online()

    def seen() -> object:
        return Device.objects.get(id=device.id).last_seen_at

    async with ready_line(served, device):
        await until(is_online)
    await until(is_offline)
    assert await in_thread(device.organization, seen) is not None


# --- Commands ------------------------------------------------------------------------------------------


def enqueued(device: Enrolled, **body: Any) -> str:
    from django.db import transaction

    with organization(device.organization), transaction.atomic():
        return services.enqueue(device_id=device.id, name="say", body=body).public_id


async def test_a_command_arrives_and_comes_again_until_it_is_acknowledged(served: Gateway, device: Enrolled) -> None:
    async with ready_line(served, device) as opened:
        name = await sync_to_async(enqueued)(device, word="hello")
        first = await opened.receive()
        assert first == {"type": "command", "command": name, "name": "say", "body": {"word": "hello"}}
        assert await opened.receive() == first
        answer = await opened.ask({"type": "acknowledge", "command": name, "id": "a"})
        assert answer == {"type": "acknowledged", "re": "a", "command": name}
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(opened.socket.recv(), 2)


async def test_commands_for_an_absent_device_wait_in_order(served: Gateway, device: Enrolled) -> None:
    names = [await sync_to_async(enqueued)(device, number=number) for number in range(5)]
    async with ready_line(served, device) as opened:
        got = [(await opened.receive())["command"] for _ in names]
        assert got == names


async def test_nobody_acknowledges_for_another_device(served: Gateway, device: Enrolled) -> None:
    other = await sync_to_async(enrolled)(device.organization)
    name = await sync_to_async(enqueued)(device, word="mine")
    async with ready_line(served, other) as opened:
        assert (await opened.ask({"type": "acknowledge", "command": name}))["type"] == "acknowledged"
    pending = await in_thread(
        device.organization, lambda: DeviceCommand.objects.filter(device_id=device.id, acknowledged_at=None).count()
    )
    assert pending == 1


# --- Many at once --------------------------------------------------------------------------------------


async def test_fifty_sockets_of_two_organizations_never_get_each_others_rows(
    served: Gateway, org_a: OrganizationContext, org_b: OrganizationContext
) -> None:
    devices = await sync_to_async(lambda: [enrolled((org_a, org_b)[n % 2], name=f"Till {n}") for n in range(50)])()
    rounds = 20

    async def ask_often(device: Enrolled, number: int) -> int:
        wrong = 0
        async with ready_line(served, device) as opened:
            for turn in range(rounds):
                answer = await opened.ask({"type": "profile", "id": str(turn)})
                right = {
                    "type": "profile",
                    "re": str(turn),
                    "organization": device.organization.issuer,
                    "device": device.public_id,
                    "name": f"Till {number}",
                    "site": ids.encode("site", device.site_id),
                }
                wrong += any(answer.get(name) != value for name, value in right.items())
                await asyncio.sleep(0.05)
        return wrong

    wrong = await asyncio.gather(*(ask_often(device, number) for number, device in enumerate(devices)))
    assert sum(wrong) == 0


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("anywhere.example", "/healthz", 200),
        ("anywhere.example", "/readyz", 200),
        ("anywhere.example", "/v1/devices", 404),
        ("org-a.keystead.test", "/v1/devices", 401),
    ],
)
def test_the_same_process_can_serve_http(served: Gateway, host: str, path: str, status: int) -> None:
    answer = httpx2.get(f"http://127.0.0.1:{served.port}{path}", headers={"Host": host}, trust_env=False)
    assert answer.status_code == status


def test_a_gateway_that_cannot_find_organizations_is_not_ready(
    served: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(host: str) -> None:
        raise OperationalError

    monkeypatch.setattr(directory, "by_host", nothing)
    answer = httpx2.get(f"http://127.0.0.1:{served.port}/readyz", trust_env=False)
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})


async def test_a_handler_that_breaks_is_told_without_its_reason(
    served: Gateway, device: Enrolled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(**_: Any) -> None:
        raise RuntimeError("the reason")

    broken = dataclasses.replace(registry._handlers["profile"], function=breaks)
    monkeypatch.setitem(registry._handlers, "profile", broken)
    async with ready_line(served, device) as opened:
        answer = await opened.ask({"type": "profile", "id": "x"})
        assert (answer["type"], answer["code"], answer["re"]) == ("error", "internal_error", "x")
        assert "the reason" not in str(answer)
        assert (await opened.ask({"type": "heartbeat"}))["type"] == "heartbeat"


async def test_a_device_with_too_many_open_questions_is_told_to_wait(
    served: Gateway, device: Enrolled, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    original = registry._handlers["profile"]

    def slow(**values: Any) -> Any:
        gate.wait(10)
        return original.function(**values)

    monkeypatch.setitem(registry._handlers, "profile", dataclasses.replace(original, function=slow, slow=True))
    async with ready_line(served, device) as opened:
        for number in range(LIMITS.in_flight_max):
            await opened.send({"type": "profile", "id": str(number)})
        answer = await opened.ask({"type": "profile", "id": "one more"})
        assert answer["code"] == "invalid_frame"
        answer = await opened.ask({"type": "profile", "id": "more"})
        assert (answer["code"], answer["re"]) == ("busy", "more")
        assert answer["retry_after_ms"] > 0
        gate.set()
        got = {(await opened.receive())["re"] for _ in range(LIMITS.in_flight_max)}
        assert got == {str(number) for number in range(LIMITS.in_flight_max)}


@pytest.fixture
def without_redis() -> Iterator[None]:
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        hints._client.cache_clear()
        yield
    hints._client.cache_clear()


async def test_without_redis_everything_still_happens_only_later(
    live_db: LiveDatabase, without_redis: None, org_a: OrganizationContext
) -> None:
    device = await sync_to_async(enrolled)(org_a)
    with gateway(LIMITS) as served:
        async with ready_line(served, device) as opened:
            assert (await opened.ask({"type": "profile"}))["device"] == device.public_id
            name = await sync_to_async(enqueued)(device, word="hello")
            assert (await opened.receive())["command"] == name
            online = await in_thread(org_a, lambda: hints.online(device_ids=[device.id]))
            assert online == {device.id: None}
            await in_thread(org_a, lambda: services.revoke(device_id=device.id, by=SYSTEM))
            async with asyncio.timeout(5):
                assert await opened.close_code() == Close.REVOKED


def test_registering_a_frame_twice_is_a_mistake() -> None:
    handler = registry._handlers["profile"]
    with pytest.raises(ValueError, match="two handlers"):
        registry.handler("profile", frame=handler.frame, reply=handler.reply)(lambda **_: None)  # type: ignore[type-var]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '["noise", "a", "b", null]', '["revoked", 1, 2, null]', b"\xff"]
)
def test_what_is_no_hint_is_not_followed(text: str | bytes) -> None:
    assert Hint.decode(text) is None


async def test_the_gateway_says_goodbye_when_it_stops(live_db: LiveDatabase, device: Enrolled) -> None:
    with gateway(LIMITS) as served:
        opening = ready_line(served, device)
        opened = await opening.__aenter__()
    with pytest.raises(ConnectionClosed):
        await opened.socket.recv()
    assert opened.socket.close_code == 1012
    await opening.__aexit__(None, None, None)
