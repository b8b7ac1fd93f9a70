"""Checkouts as devices send them: over sockets, to a gateway, a matcher and a provider."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.tenancy.context import organization
from tenants.checkouts.models import Checkout
from tests.factories.checkouts import Terminal, seen, terminal
from tests.factories.gateway import Gateway, Line, authenticate, gateway, line, ready_line
from tests.tenants.checkouts.conftest import Shop

pytestmark = pytest.mark.xdist_group("checkouts-at-the-gateway")


async def settled(opened: Line, frame: dict[str, Any]) -> dict[str, Any]:
    """Send the frame until its answer is final, as docs/gateway.md tells devices to."""
    while True:
        answer = await opened.ask(frame)
        if "retry_after_ms" not in answer:
            return answer
        await asyncio.sleep(answer["retry_after_ms"] / 1000)


async def at(served: Gateway, who: Terminal, frame: dict[str, Any]) -> dict[str, Any]:
    async with ready_line(served, who.device) as opened:
        return await settled(opened, frame)


def test_a_checkout_over_a_socket_and_again_over_the_next(shop: Shop) -> None:
    ada = shop.customer()
    frame = shop.terminal.frame(seen(ada.face), id="till-1")

    async def scenario(served: Gateway) -> None:
        first = await at(served, shop.terminal, frame)
        assert (first["status"], first["person"], first["re"]) == ("approved", ada.public_id, "till-1")
        async with line(served, shop.terminal.device.gateway_url) as opened:
            ready = await authenticate(opened, shop.terminal.device)
            assert ready["resume"] == {"checkout": {"last_sequence": 1, "unfinished_sequences": []}}
            assert await opened.ask(frame) == first

    with gateway() as served:
        asyncio.run(scenario(served))
    assert shop.charges() == [1250]


def test_a_line_that_breaks_at_the_worst_moment_costs_nothing(shop: Shop) -> None:
    ada = shop.customer()
    frames = [shop.terminal.frame(seen(ada.face)) for _ in range(6)]

    async def scenario(served: Gateway) -> list[str]:
        statuses = []
        for number, frame in enumerate(frames):
            async with ready_line(served, shop.terminal.device) as opened:
                await opened.send(frame)
                await asyncio.sleep(0.03 * number)
                opened.socket.transport.abort()
            statuses.append((await at(served, shop.terminal, frame))["status"])
        return statuses

    with gateway() as served:
        statuses = asyncio.run(scenario(served))
    assert statuses == ["approved"] * len(frames)
    assert shop.charges() == [1250] * len(frames)


def test_a_heartbeat_is_answered_while_checkouts_are_under_way(shop: Shop) -> None:
    ada = shop.customer(token="pm_sandbox_slow")
    frame = shop.terminal.frame(seen(ada.face))

    async def scenario(served: Gateway) -> list[str]:
        async with ready_line(served, shop.terminal.device) as opened:
            await opened.send(frame)
            await opened.send({"type": "heartbeat"})
            return [(await opened.receive())["type"] for _ in range(2)]

    with gateway() as served:
        assert asyncio.run(scenario(served)) == ["heartbeat", "checkout"]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"amount_minor": -1}, "invalid_frame", "amount_minor"),
        ({"liveness": {"method": "passive", "score": 2}}, "invalid_frame", "liveness.score"),
        ({"probe": "AAAA"}, "invalid_input", "probe"),
        ({"signature": "A" * 86}, "invalid_signature", "signature"),
    ],
)
def test_a_refused_frame_says_which_checkout_and_which_field(
    shop: Shop, changes: dict[str, Any], code: str, field: str
) -> None:
    frame = {**shop.terminal.frame(shop.customer(accounts=[]).face), **changes}
    if "probe" in changes:
        del frame["signature"]
        frame = shop.terminal.device.key.sign(frame)

    async def scenario(served: Gateway) -> dict[str, Any]:
        async with ready_line(served, shop.terminal.device) as opened:
            return await opened.ask(frame)

    with gateway() as served:
        answer = asyncio.run(scenario(served))
    assert (answer["type"], answer["code"], answer["field"]) == ("error", code, field)
    assert answer["sequence"] == frame["sequence"]


def test_two_organizations_at_one_gateway_recognise_and_charge_their_own(shop: Shop, other_shop: Shop) -> None:
    shops = (shop, other_shop)
    work = []
    for each in shops:
        with organization(each.organization):
            people = [each.customer() for _ in range(3)]
            tills = [each.terminal, terminal(each.organization, model=each.model)]
        work += [(each, till, people) for till in tills]
    rounds = 4

    async def serve(served: Gateway, till: Terminal, people: list[Any]) -> int:
        wrong = 0
        async with ready_line(served, till.device) as opened:
            for turn in range(rounds):
                person = people[turn % len(people)]
                answer = await settled(opened, till.frame(seen(person.face)))
                wrong += (answer.get("status"), answer.get("person")) != ("approved", person.public_id)
        return wrong

    async def scenario(served: Gateway) -> int:
        return sum(await asyncio.gather(*(serve(served, till, people) for _, till, people in work)))

    with gateway() as served:
        assert asyncio.run(scenario(served)) == 0
    for each in shops:
        assert each.charges() == [1250] * rounds * 2
        with organization(each.organization):
            devices = [till.device.id for owner, till, _ in work if owner is each]
            assert Checkout.objects.filter(device_id__in=devices, state="approved").count() == rounds * 2
