"""The device's side: a key made on the device, a code claimed once, a socket, checkouts.

    key = DeviceKey.generate()
    device = Device.claim("https://acme.keystead.example", code="K7QM-2X9D-T4WA", key=key)
    with device.connect() as session:
        result = session.checkout(sequence=1, amount_minor=450, currency="EUR", ...)

Keep the key, `device.id`, `device.credential`, `device.gateway_url` and the last sequence on the device.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from keystead._auth import NoAuth
from keystead._errors import ConnectionFailed, GatewayError
from keystead._hosts import reachable
from keystead._transport import Transport

_GATEWAY = "keystead-gateway+jwt"
_CLAIM = "keystead-claim+jwt"
_ROTATION = "keystead-rotation+jwt"
_ENDORSEMENT = "keystead-endorsement+jwt"
_OPEN_TIMEOUT_S = 10.0


class DeviceKey:
    """An Ed25519 key that never leaves the device."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def generate(cls) -> Self:
        """A new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> Self:
        """The key of a file that `save` wrote."""
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{path} does not hold an Ed25519 key")
        return cls(key)

    def save(self, path: Path) -> None:
        """Write the key to a new file that only its owner can read."""
        pem = self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(pem)

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public half (RFC 8037)."""
        raw = self._private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(raw)}

    @property
    def thumbprint(self) -> str:
        """The public half's name, the same everywhere (RFC 7638)."""
        return _base64url(hashlib.sha256(_canonical(self.public_jwk)).digest())

    def sign(self, message: bytes) -> bytes:
        """An Ed25519 signature."""
        return self._private.sign(message)

    def proof(self, *, typ: str, claims: Mapping[str, Any]) -> str:
        """A JWS of a type of ours over claims of ours: never over bytes that a peer chose."""
        header = {"typ": typ, "alg": "EdDSA"}
        signed = f"{_base64url(_canonical(header))}.{_base64url(_canonical(claims))}"
        return f"{signed}.{_base64url(self.sign(signed.encode()))}"


@dataclass(frozen=True, slots=True)
class CheckoutResult:
    """What became of a checkout. `status` is `approved` when the money was taken.

    `processing` and `unknown` are not final: send the same frame again for a later answer.
    """

    sequence: int
    checkout: str
    status: str
    person: str | None
    payment: str | None
    reason: str | None
    raw: Mapping[str, Any]

    @property
    def is_final(self) -> bool:
        """Whether this answer will stay."""
        return self.status not in ("processing", "unknown")


@dataclass(frozen=True, slots=True)
class Device:
    """A device that has claimed its code."""

    id: str
    credential: str
    gateway_url: str
    key: DeviceKey

    @classmethod
    def claim(cls, url: str, *, code: str, key: DeviceKey, now: Callable[[], float] = time.time) -> Device:
        """Bind a new device to the organization that made the code. A code works once."""
        path = "/v1/devices/claim"
        claims = {"aud": f"{url.rstrip('/')}{path}", "code": code, "iat": int(now())}
        body = {"code": code, "public_key": key.public_jwk, "proof": key.proof(typ=_CLAIM, claims=claims)}
        transport = Transport(url, auth=NoAuth())
        try:
            answer = transport.request("POST", path, json=body)
        finally:
            transport.close()
        return cls(id=answer["device"], credential=answer["credential"], gateway_url=answer["gateway_url"], key=key)

    def connect(self, *, timeout_s: float = 30.0) -> DeviceSession:
        """Open the socket and prove the key. Raises GatewayError or ConnectionFailed."""
        return DeviceSession(self, timeout_s=timeout_s)

    def sign_checkout(
        self,
        *,
        sequence: int,
        amount_minor: int,
        currency: str,
        modality: str,
        model: str,
        probe: Sequence[float],
        liveness: Mapping[str, Any],
        captured_at: datetime | None = None,
        claimed_person: str | None = None,
        confirms: str | None = None,
        pin: str | None = None,
    ) -> dict[str, Any]:
        """The signed frame. Send the same frame again, also on a new connection, to get the same answer.

        After `confirmation_required` send a new one, with a new probe and sequence, that names the earlier
        checkout in `confirms` and brings the person's `pin`, or the id that they claim, as well.
        """
        frame: dict[str, Any] = {
            "type": "checkout",
            "sequence": sequence,
            "amount_minor": amount_minor,
            "currency": currency,
            "modality": modality,
            "model": model,
            "probe": base64.b64encode(struct.pack(f"<{len(probe)}f", *probe)).decode(),
            "captured_at": (captured_at or datetime.now(UTC)).isoformat(),
            "liveness": dict(liveness),
        }
        if claimed_person is not None:
            frame["claimed_person"] = claimed_person
        confirmation = {"checkout": confirms, "pin": pin}
        if given := {name: value for name, value in confirmation.items() if value is not None}:
            frame["confirmation"] = given
        frame["signature"] = _base64url(self.key.sign(_canonical(frame)))
        return frame


class DeviceSession:
    """An open, proven socket. Not for use from several threads at once."""

    def __init__(self, device: Device, *, timeout_s: float) -> None:
        self._device = device
        self._timeout_s = timeout_s
        target, host = reachable(device.gateway_url)
        parts = urlsplit(target)
        try:
            # The handshake's Host and TLS name are those of the URL; the socket goes where the name leads.
            port = parts.port or (443 if parts.scheme == "wss" else 80)
            self._socket: ClientConnection = connect(
                device.gateway_url,
                sock=socket.create_connection((parts.hostname or "", port), timeout=_OPEN_TIMEOUT_S),
                open_timeout=_OPEN_TIMEOUT_S,
                proxy=None,
            )
        except (OSError, TimeoutError) as error:
            raise ConnectionFailed(f"{device.gateway_url}: {type(error).__name__}") from error
        except InvalidStatus as error:
            raise GatewayError("handshake_refused", f"HTTP {error.response.status_code} at {host}") from error
        self.ready = self._authenticate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def heartbeat(self) -> None:
        """Say that the device is there, and wait for the gateway to say so too."""
        self.send({"type": "heartbeat"})
        self._expect("heartbeat")

    def checkout(self, **details: Any) -> CheckoutResult:
        """Sign a checkout (see `Device.sign_checkout`), send it, and wait for its result."""
        return self.submit(self._device.sign_checkout(**details))

    def submit(self, frame: Mapping[str, Any]) -> CheckoutResult:
        """Send a signed frame, new or again, and wait for its result.

        While the platform is still at work the frame is sent again, which changes nothing, until the
        session's timeout; what then comes back may be `processing` or `unknown`, which are not final.
        """
        deadline = time.monotonic() + self._timeout_s
        while True:
            self.send(frame)
            result = _result(self._expect("checkout", sequence=frame["sequence"]))
            pause_s = result.raw.get("retry_after_ms", 0) / 1000
            if result.is_final or time.monotonic() + pause_s > deadline:
                return result
            time.sleep(pause_s)

    def rotate_key(self, key: DeviceKey, *, now: Callable[[], float] = time.time) -> Device:
        """Propose another key, and get the device as it is with it.

        Save `key` before, and the answer's `credential` afterwards; when the answer is lost, call again with the
        same key. This session goes on with the present key; the next one that the new key opens ends the old one.
        """
        old = self._device
        shared = {"aud": old.gateway_url, "sub": old.id, "credential": old.credential, "iat": int(now())}
        self.send(
            {
                "type": "rotate_key",
                "public_key": key.public_jwk,
                "proof": key.proof(typ=_ROTATION, claims=shared),
                "endorsement": old.key.proof(typ=_ENDORSEMENT, claims={**shared, "key": key.thumbprint}),
            }
        )
        answer = self._expect("key_accepted")
        return Device(id=old.id, credential=answer["credential"], gateway_url=old.gateway_url, key=key)

    def send(self, frame: Mapping[str, Any]) -> None:
        """Send a frame as it is."""
        try:
            self._socket.send(json.dumps(frame))
        except ConnectionClosed as error:
            raise _closed(error) from error

    def receive(self) -> dict[str, Any]:
        """The next frame."""
        try:
            frame: dict[str, Any] = json.loads(self._socket.recv(timeout=self._timeout_s))
        except TimeoutError as error:
            raise ConnectionFailed("the gateway said nothing for too long") from error
        except ConnectionClosed as error:
            raise _closed(error) from error
        return frame

    def _authenticate(self) -> dict[str, Any]:
        challenge = self._expect("challenge")
        # The audience is what this device was told when it was bound, never what the peer says now.
        claims = {
            "aud": self._device.gateway_url,
            "sub": self._device.id,
            "credential": self._device.credential,
            "nonce": challenge["nonce"],
            "iat": int(time.time()),
        }
        self.send({"type": "authenticate", "token": self._device.key.proof(typ=_GATEWAY, claims=claims)})
        return self._expect("ready")

    def _expect(self, kind: str, *, sequence: int | None = None) -> dict[str, Any]:
        while True:
            frame = self.receive()
            if frame["type"] == kind and sequence in (None, frame.get("sequence")):
                return frame
            if frame["type"] == "error" and frame.get("sequence") in (None, sequence):
                raise GatewayError(frame["code"], frame.get("detail", ""))
            if frame["type"] == "command":
                self.send({"type": "acknowledge", "command": frame["command"]})


def _result(answer: Mapping[str, Any]) -> CheckoutResult:
    return CheckoutResult(
        sequence=answer["sequence"],
        checkout=answer["checkout"],
        status=answer["status"],
        person=answer.get("person"),
        payment=answer.get("payment"),
        reason=answer.get("reason"),
        raw=answer,
    )


def _closed(error: ConnectionClosed) -> GatewayError:
    received = error.rcvd
    return GatewayError(f"closed_{received.code}" if received else "closed", received.reason if received else "")


def _canonical(value: Any) -> bytes:
    """RFC 8785, for what a frame holds: ASCII member names, and numbers of at least a millionth."""
    if isinstance(value, Mapping):
        members = b",".join(_canonical(name) + b":" + _canonical(value[name]) for name in sorted(value))
        return b"{" + members + b"}"
    if isinstance(value, float):
        # ECMAScript writes no exponent here and no fraction of zero; Python would.
        return format(Decimal(repr(value)).normalize(), "f").encode()
    return json.dumps(value, ensure_ascii=False).encode()


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
