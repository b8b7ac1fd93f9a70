"""Devices that go on sending after they were revoked, and whoever overheard them: `make chaos NAME=revocation`.

First with Valkey, then with Valkey frozen (SIGSTOP), devices with an open socket are revoked, reset or left alone
while they send. Then everything that went over the wire is sent again: proofs, nonces, codes, proposals of keys.
SEED=n repeats the choices of a run; DEVICES=n changes its size.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from devkit.stack import Stack
from keystead import Device, DeviceKey, Keystead, KeysteadError
from tests.chaos.report import Report, seed

WITHIN_S, WITHIN_FROZEN_S = 5.0, 60.0
PATIENCE_S = 75.0
PROCESSES = ("matcher", "relay", "provisioner", "api", "gateway")


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it: devices that are shut out in each of the two halves, those that stay, and replays of a kind."""

    devices: int
    bystanders: int
    replays: int
    pause_s: float


class Sender(threading.Thread):
    """A device that sends as long as anybody listens, and comes back when its socket was closed."""

    def __init__(self, device: Device, port: int, *, pause_s: float) -> None:
        super().__init__(daemon=True)
        self.device, self._port, self._pause_s = device, port, pause_s
        self.over = threading.Event()
        self.worked_at = self.answered_at = 0.0
        self.closed_at: float | None = None
        self.ready = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            with contextlib.suppress(ConnectionClosed, OSError, TimeoutError):
                with line(self.device.gateway_url, self._port) as opened:
                    if authenticate(opened, proof(self.device, opened))["type"] == "ready":
                        self.answered_at = time.monotonic()
                        self.ready.set()
                        self._talk(opened)
            self.closed_at = time.monotonic()
            self.over.wait(0.5)

    def _talk(self, opened: ClientConnection) -> None:
        while not self.over.wait(self._pause_s):
            for kind in ("profile", "heartbeat"):
                answer = ask(opened, {"type": kind})
                if answer["type"] == kind:
                    self.answered_at = time.monotonic()
                    self.worked_at = self.answered_at if kind == "profile" else self.worked_at


class Scene:
    """An organization with an owner, a site and devices, made through the doors that everybody uses."""

    def __init__(self, stack: Stack, slug: str) -> None:
        self.port, self.url = stack.ports.gateway, stack.url(slug)
        stack.cli("plan", "create", "standard")
        email, password = f"owner@{slug}.example", secrets.token_urlsafe(12)
        stack.cli("org", "create", slug, "--plan", "standard", "--admin-email", email)
        invitation = stack.cli("org", "invite", slug, "--email", email).strip().rpartition("#")[2]
        Keystead.accept_invitation(self.url, token=invitation, password=password)
        self.owner = Keystead.sign_in(self.url, email=email, password=password)
        self.site = self.owner.sites.create(name="Canteen").id
        self.claims: list[dict[str, Any]] = []
        self.told: Counter[int] = Counter()
        self.api = httpx2.Client(
            base_url=f"http://127.0.0.1:{stack.ports.api}", headers={"Host": self.url.partition("://")[2]}, timeout=30
        )

    def new_code(self) -> str:
        return self.owner.enrolment_codes.create(site=self.site, name="Till").code

    def claim_body(self, code: str, key: DeviceKey) -> dict[str, Any]:
        claims = {"aud": f"{self.url}/v1/devices/claim", "code": code, "iat": int(time.time())}
        token = key.proof(typ="keystead-claim+jwt", claims=claims)
        return {"code": code, "public_key": key.public_jwk, "proof": token}

    def claim(self, body: dict[str, Any]) -> Any:
        """From an address of its own each time: what is refused here is refused for what it is."""
        address = f"198.18.{secrets.randbelow(256)}.{secrets.randbelow(256)}"
        answer = self.api.post("/v1/devices/claim", json=body, headers={"X-Forwarded-For": address})
        self.told[answer.status_code] += 1
        return answer

    def enrolled(self) -> Device:
        key = DeviceKey.generate()
        body = self.claim_body(self.new_code(), key)
        answer = self.claim(body).raise_for_status().json()
        self.claims.append(body)
        return Device(id=answer["device"], credential=answer["credential"], gateway_url=answer["gateway_url"], key=key)


def run(*, size: Size, number: int, state_dir: Path, say: bool = True) -> Report:
    """One run, from an empty platform to the last replay."""
    report, chance = Report(name="revocation", seed=number), random.Random(number)
    tell: Callable[[str], None] = _say if say else _silent
    tell(f"seed {number}")
    trusting = {"KEYSTEAD_TRUSTED_PROXIES": "127.0.0.1/32"}
    with Stack(state_dir, processes=PROCESSES, volatile=True, settings=trusting, tell=tell).up() as stack:
        scene = Scene(stack, f"gate-{number:08x}")
        senders = [
            Sender(scene.enrolled(), scene.port, pause_s=size.pause_s)
            for _ in range(2 * size.devices + size.bystanders)
        ]
        for one in senders:
            one.start()
        if not all(one.ready.wait(30) for one in senders):
            raise RuntimeError("not every device was ready")
        first, second = senders[: size.devices], senders[size.devices : 2 * size.devices]
        tell("devices are shut out")
        open_ended = _shut_out(scene, first, chance)
        tell("Valkey is frozen")
        stack.kill("valkey", signal.SIGSTOP)
        try:
            frozen = _shut_out(scene, second, chance)
            last = time.monotonic()
            bystanders = senders[2 * size.devices :]
            time.sleep(2)
            alive = sum(one.worked_at > last for one in bystanders)
        finally:
            stack.kill("valkey", signal.SIGCONT)
        for one in senders:
            one.over.set()
        for one in senders:
            one.join(30)
        _promise_ends(report, open_ended, frozen)
        report.promise(
            "who was not shut out worked on", alive == len(bystanders), figure=f"{alive} of {size.bystanders}"
        )
        tell("what was overheard is sent again")
        _replay(report, scene, size)
        report.counts |= {"devices": len(senders)}
        scene.api.close()
        scene.owner.close()
    return report


def _shut_out(scene: Scene, senders: list[Sender], chance: random.Random) -> list[dict[str, float]]:
    """Revoke or reset them at some moment; how long after the request each was still answered."""

    def one(part: tuple[Sender, float, bool]) -> dict[str, float]:
        sender, after_s, is_reset = part
        time.sleep(after_s)
        act = scene.owner.devices.factory_reset if is_reset else scene.owner.devices.revoke
        asked_at = time.monotonic()
        act(sender.device.id)
        done_at = time.monotonic()
        while time.monotonic() - asked_at < PATIENCE_S:
            if sender.closed_at and sender.closed_at > asked_at:
                break
            time.sleep(0.05)
        # Long enough for it to have come back, were it let in.
        time.sleep(1.5)
        return {
            "answered_s": max(0.0, sender.answered_at - asked_at),
            "worked_s": max(0.0, sender.worked_at - asked_at),
            "request_s": done_at - asked_at,
        }

    parts = [(sender, chance.random() * 2, chance.random() < 0.3) for sender in senders]
    with ThreadPoolExecutor(max(1, min(len(parts), 8))) as pool:
        return list(pool.map(one, parts))


def _promise_ends(report: Report, usual: list[dict[str, float]], frozen: list[dict[str, float]]) -> None:
    for text, found, limit in (
        ("the last accepted frame came within 5 s of the request", usual, WITHIN_S),
        ("and within 60 s with Valkey frozen", frozen, WITHIN_FROZEN_S),
    ):
        worst = {name: round(max(one[name] for one in found), 3) for name in ("answered_s", "worked_s", "request_s")}
        report.promise(text, worst["answered_s"] <= limit, figure=worst)


# --- What was overheard -------------------------------------------------------------------------------


def _replay(report: Report, scene: Scene, size: Size) -> None:
    accepted: dict[str, int] = {
        "nonces": _nonces(scene, size.replays),
        "assertions": _assertions(scene, size.replays),
    }
    rotated, changed = _rotation(scene, size.replays)
    accepted["proposals"] = rotated
    accepted["codes"], made = _codes(scene, size.replays)
    for kind, count in accepted.items():
        report.promise(f"no replayed {kind} were accepted", count == 0, figure=count)
    report.promise("who has the key gets in all the same", changed, figure=changed)
    report.promise("a code that many claim at once makes one device", made == 1, figure=made)
    before = sum(1 for _ in scene.owner.devices.list())
    told = Counter(scene.claim(body).status_code for body in scene.claims[:50])
    after = sum(1 for _ in scene.owner.devices.list())
    report.promise("a claim that is sent again makes nothing", before == after, figure={"told": dict(told)})
    refused_unseen = scene.told[429] + sum(count for status, count in scene.told.items() if status >= 500)
    report.promise("each claim was looked at", refused_unseen == 0, figure=dict(scene.told))
    report.counts["replays_of_a_kind"] = size.replays


def _nonces(scene: Scene, replays: int) -> int:
    """One proof, on the socket that it was for and on others, many of them at the same moment."""
    device = scene.enrolled()
    with line(device.gateway_url, scene.port) as opened:
        token = proof(device, opened)
        first = authenticate(opened, token)
        again = authenticate(opened, token)
        assert first["type"] == "ready", first
    accepted = int(again["type"] == "ready")

    def other(_: int) -> bool:
        with line(device.gateway_url, scene.port) as opened:
            receive(opened)
            return bool(authenticate(opened, token)["type"] == "ready")

    with ThreadPoolExecutor(8) as pool:
        return accepted + sum(pool.map(other, range(replays)))


def _assertions(scene: Scene, replays: int) -> int:
    """Proofs of one purpose where another is asked for, and those of a device that was shut out."""
    accepted = 0
    for number in range(replays):
        device = scene.enrolled()
        claimed = scene.claims[-1]
        with line(device.gateway_url, scene.port) as opened:
            nonce = receive(opened)["nonce"]
            claims = _claims(device, nonce)
            wrong = (
                claimed["proof"],
                device.key.proof(typ="keystead-claim+jwt", claims=claims),
                device.key.proof(typ="keystead-rotation+jwt", claims=claims),
                device.key.proof(typ="keystead-gateway+jwt", claims={**claims, "iat": claims["iat"] - 3600}),
                device.key.proof(typ="JWT", claims=claims),
            )
            accepted += authenticate(opened, wrong[number % len(wrong)])["type"] == "ready"
        right = device.key.proof(typ="keystead-gateway+jwt", claims=claims)
        accepted += scene.claim({**claimed, "proof": right}).status_code == 201
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": right,
        }
        accepted += scene.api.post("/oauth/token", data=form).status_code == 200
        scene.owner.devices.revoke(device.id)
        with line(device.gateway_url, scene.port) as opened:
            accepted += authenticate(opened, proof(device, opened))["type"] == "ready"
        accepted += scene.claim(claimed).status_code == 201
    return accepted


def _rotation(scene: Scene, replays: int) -> tuple[int, bool]:
    """A proposal of a key, sent again by others, and again after it was taken up."""
    device, thief, key = scene.enrolled(), scene.enrolled(), DeviceKey.generate()
    shared = {"aud": device.gateway_url, "sub": device.id, "credential": device.credential, "iat": int(time.time())}
    frame = {
        "type": "rotate_key",
        "public_key": key.public_jwk,
        "proof": key.proof(typ="keystead-rotation+jwt", claims=shared),
        "endorsement": device.key.proof(typ="keystead-endorsement+jwt", claims={**shared, "key": key.thumbprint}),
    }
    with device.connect() as session:
        session.send(frame)
        answer = session.receive()
    renewed = Device(id=device.id, credential=answer["credential"], gateway_url=device.gateway_url, key=key)
    with renewed.connect() as session, thief.connect() as stranger:
        changed = session.ready["type"] == "ready"
        accepted = 0
        for sender in (session, stranger):
            for _ in range(min(replays, 8)):
                sender.send(frame)
                accepted += sender.receive()["type"] == "key_accepted"
    with line(device.gateway_url, scene.port) as opened:
        accepted += authenticate(opened, proof(device, opened))["type"] == "ready"
    return accepted, changed


def _codes(scene: Scene, replays: int) -> tuple[int, int]:
    """A code that eight claim at once; then used ones, under other keys."""
    code = scene.new_code()
    with ThreadPoolExecutor(8) as pool:
        bodies = [scene.claim_body(code, DeviceKey.generate()) for _ in range(8)]
        made = sum(answer.status_code == 201 for answer in pool.map(scene.claim, bodies))
    used = [code, *(body["code"] for body in scene.claims)]
    accepted = 0
    for number in range(replays):
        body = scene.claim_body(used[number % len(used)], DeviceKey.generate())
        accepted += scene.claim(body).status_code == 201
    return accepted, made


# --- The wire -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def line(url: str, port: int) -> Iterator[ClientConnection]:
    """A socket to the gateway under the host of `url`; the challenge is still to be read."""
    with connect(url, sock=socket.create_connection(("127.0.0.1", port), timeout=10), proxy=None) as opened:
        yield opened


def receive(opened: ClientConnection) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(opened.recv(timeout=30))
    return frame if frame["type"] != "command" else receive(opened)


def ask(opened: ClientConnection, frame: dict[str, Any]) -> dict[str, Any]:
    opened.send(json.dumps(frame))
    return receive(opened)


def proof(device: Device, opened: ClientConnection) -> str:
    """The token that answers the challenge of this socket."""
    return device.key.proof(typ="keystead-gateway+jwt", claims=_claims(device, receive(opened)["nonce"]))


def authenticate(opened: ClientConnection, token: str) -> dict[str, Any]:
    return ask(opened, {"type": "authenticate", "token": token})


def _claims(device: Device, nonce: str) -> dict[str, Any]:
    named = {"aud": device.gateway_url, "sub": device.id, "credential": device.credential}
    return {**named, "nonce": nonce, "iat": int(time.time())}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _silent(_: str) -> None:
    """For the run inside the test suite."""


def main() -> None:
    size = Size(devices=int(os.environ.get("DEVICES", "24")), bystanders=6, replays=40, pause_s=0.3)
    with tempfile.TemporaryDirectory(prefix="keystead-chaos-") as folder:
        try:
            report = run(size=size, number=seed(), state_dir=Path(folder))
        except KeysteadError as error:
            _say(f"the run broke off: {error}")
            raise
    report.end()


if __name__ == "__main__":
    main()
