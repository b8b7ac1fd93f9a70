"""Every frame of the gateway, from one organization's device about another's objects."""

from __future__ import annotations

import base64
import struct
from typing import Any, Literal

import pytest

from engine.tenancy.context import organization
from tenants.devices.gateway import registry
from tenants.devices.gateway.registry import Frame, Reply, Session
from tests.factories.device_keys import DeviceKey
from tests.factories.gateway import Gateway, authenticate, gateway, line, ready_line
from tests.isolation.conftest import Worlds
from tests.isolation.world import FACE, World, untouched

pytestmark = pytest.mark.xdist_group("isolation")

# The frames that every device may send, by the test below that sends them; `heartbeat` says nothing.
COVERED = {"authenticate", "acknowledge", "heartbeat", "checkout", "profile", "rotate_key"}
BUILT_IN = {"authenticate", "acknowledge", "heartbeat"}


@pytest.fixture(scope="module")
def served(worlds: Worlds) -> Any:
    with gateway() as running:
        yield running


def test_every_frame_is_covered() -> None:
    registry.discover()
    assert {one.name for one in registry.handlers()} | BUILT_IN == COVERED


async def test_a_device_is_nobody_at_another_organizations_gateway(worlds: Worlds, served: Gateway) -> None:
    for stranger, host in ((worlds.a, worlds.b), (worlds.b, worlds.a)):
        assert stranger.device is not None
        assert host.device is not None
        with untouched(host, worlds.database.owner_url):
            async with line(served, host.device.gateway_url) as opened:
                # Its own key and names, with the audience that this gateway wants to see.
                answer = await authenticate(opened, stranger.device, audience=host.device.gateway_url)
                assert answer["type"] == "error"
            async with line(served, host.device.gateway_url) as opened:
                # Another's device and credential, under a key that is not theirs.
                answer = await authenticate(
                    opened,
                    stranger.device,
                    audience=host.device.gateway_url,
                    sub=host.ids["dev"],
                    credential=host.ids["cred"],
                )
                assert answer["type"] == "error"


async def test_a_checkout_finds_nobody_of_another_organization(worlds: Worlds, served: Gateway) -> None:
    """Both organizations have enrolled the same face: each device finds its own person, and no other."""
    for mine, other in ((worlds.a, worlds.b), (worlds.b, worlds.a)):
        with untouched(other, worlds.database.owner_url):
            assert mine.device is not None
            async with ready_line(served, mine.device) as opened:
                answer = await opened.ask(_checkout(mine, 901))
                assert other.ids["per"] not in str(answer)
                claimed = await opened.ask(_checkout(mine, 902, claimed_person=other.ids["per"]))
                assert claimed["status"] == "declined"
                assert claimed["reason"] == "claim_mismatch"
                confirmed = await opened.ask(_checkout(mine, 903, confirmation={"checkout": other.ids["chk"]}))
                assert confirmed.get("status") != "approved" or confirmed["type"] == "error"
                for secret in other.secrets():
                    assert secret not in str((answer, claimed, confirmed))


async def test_a_command_of_another_organization_cannot_be_acknowledged(worlds: Worlds, served: Gateway) -> None:
    assert worlds.a.device is not None
    with untouched(worlds.b, worlds.database.owner_url):
        async with ready_line(served, worlds.a.device) as opened:
            answer = await opened.ask({"type": "acknowledge", "command": worlds.b.ids["evt"].replace("evt", "cmd")})
            assert answer["type"] in {"error", "acknowledged"}
            assert worlds.b.mark not in str(answer)


async def test_a_device_speaks_of_itself_only(worlds: Worlds, served: Gateway) -> None:
    assert worlds.a.device is not None
    assert worlds.b.device is not None
    with untouched(worlds.b, worlds.database.owner_url):
        async with ready_line(served, worlds.a.device) as opened:
            profile = await opened.ask({"type": "profile"})
            assert profile["device"] == worlds.a.ids["dev"]
            assert not any(secret in str(profile) for secret in worlds.b.secrets())
            key = DeviceKey()
            for frame in (
                # The other's own, word by word; ours about the other; the other's endorsement of our proof.
                worlds.b.device.rotate_key_frame(key),
                worlds.a.device.rotate_key_frame(key, sub=worlds.b.ids["dev"], credential=worlds.b.ids["cred"]),
                {
                    **worlds.a.device.rotate_key_frame(key),
                    "endorsement": worlds.b.device.rotation(key, audience=worlds.a.device.gateway_url)[1],
                },
            ):
                answer = await opened.ask(frame)
                assert (answer["type"], answer.get("field")) in {("error", "proof"), ("error", "endorsement")}


@pytest.mark.parametrize("mixture", ["device", "credential", "both", "audience", "key"])
async def test_no_mixture_of_two_organizations_proofs_opens_a_session(
    worlds: Worlds, served: Gateway, mixture: str
) -> None:
    ours, theirs = worlds.a.device, worlds.b.device
    assert ours is not None
    assert theirs is not None
    device, credential = {"sub": worlds.b.ids["dev"]}, {"credential": worlds.b.ids["cred"]}
    signer, changes = {
        "device": (ours, device),
        "credential": (ours, credential),
        "both": (ours, device | credential),
        "audience": (ours, {"audience": theirs.gateway_url}),
        "key": (theirs, {"audience": ours.gateway_url}),
    }[mixture]
    with untouched(worlds.b, worlds.database.owner_url):
        async with line(served, ours.gateway_url) as opened:
            answer = await authenticate(opened, signer, **changes)
            assert (answer["type"], answer["code"]) == ("error", "not_authenticated")


class _Planted(Frame):
    """Asks for what is not its own."""

    type: Literal["planted"]


class _PlantedReply(Reply):
    """Tells it."""

    type: Literal["planted"] = "planted"
    found: str


async def test_planted_a_handler_that_reads_another_organization_is_noticed(
    worlds: Worlds, served: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leak(*, session: Session, frame: _Planted, raw: Any) -> _PlantedReply:
        from tenants.identity.models import Person

        with organization(worlds.b.organization):
            return _PlantedReply(found=Person.objects.get(display_name=worlds.b.mark).display_name)

    planted = registry.Handler("planted", _Planted, _PlantedReply, leak, slow=False)
    monkeypatch.setitem(registry._handlers, "planted", planted)
    assert worlds.a.device is not None
    async with ready_line(served, worlds.a.device) as opened:
        answer = await opened.ask({"type": "planted"})
    assert any(secret in str(answer) for secret in worlds.b.secrets())
    # And a frame that nobody has tried does not stay unnoticed either.
    with pytest.raises(AssertionError):
        test_every_frame_is_covered()


def _checkout(world: World, sequence: int, **changes: Any) -> dict[str, Any]:
    from engine.clock import utc_now

    assert world.device is not None
    vector = [
        number * (1 + sequence / 1e6) + (0.001 if place == sequence % 7 else 0)
        for place, number in enumerate(FACE["vector"])
    ]
    return world.device.key.sign(
        {
            "type": "checkout",
            "sequence": sequence,
            "amount_minor": 100,
            "currency": world.organization.currency,
            "modality": FACE["modality"],
            "model": FACE["model"],
            "probe": base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode(),
            "captured_at": utc_now().isoformat(),
            "liveness": {"method": "passive", "score": 0.97},
            **changes,
        }
    )
