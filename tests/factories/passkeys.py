"""An authenticator of passkeys in software, and the browser before it: what WebAuthn level 2 has them send.

phone = Authenticator()
answer = phone.create(options, origin="https://acme.example")
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

UP, UV, AT = 0x01, 0x04, 0x40


@dataclass
class Credential:
    id: bytes
    key: ec.EllipticCurvePrivateKey
    rp_id: str
    user_handle: bytes
    count: int = 0


@dataclass
class Authenticator:
    """Keeps credentials by RP id, as a phone does. `verifies` says whether it asks for a finger."""

    verifies: bool = True
    credentials: list[Credential] = field(default_factory=list)

    def create(self, options: dict[str, Any], *, origin: str, rp_id: str | None = None) -> dict[str, Any]:
        """The answer of `navigator.credentials.create`."""
        made = Credential(
            id=secrets.token_bytes(16),
            key=ec.generate_private_key(ec.SECP256R1()),
            rp_id=rp_id or options["rp"]["id"],
            user_handle=_bytes(options["user"]["id"]),
        )
        self.credentials.append(made)
        numbers = made.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = bytes(16) + len(made.id).to_bytes(2, "big") + made.id + cbor2.dumps(cose)
        data = self._data(made, more=AT) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return {
            "id": _text(made.id),
            "rawId": _text(made.id),
            "type": "public-key",
            "response": {
                "clientDataJSON": _text(_client("webauthn.create", options["challenge"], origin)),
                "attestationObject": _text(attestation),
            },
        }

    def get(self, options: dict[str, Any], *, origin: str, rp_id: str | None = None) -> dict[str, Any]:
        """The answer of `navigator.credentials.get`, by the first credential of that RP id (or `rp_id`)."""
        wanted = rp_id or options["rpId"]
        allowed = [_bytes(one["id"]) for one in options.get("allowCredentials", [])]
        fitting = [one for one in self.credentials if one.rp_id == wanted and (not allowed or one.id in allowed)]
        if not fitting:
            raise LookupError(f"no passkey for {wanted} here")
        chosen = fitting[0]
        chosen.count += 1
        data = self._data(chosen)
        client = _client("webauthn.get", options["challenge"], origin)
        signature = chosen.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return {
            "id": _text(chosen.id),
            "rawId": _text(chosen.id),
            "type": "public-key",
            "response": {
                "clientDataJSON": _text(client),
                "authenticatorData": _text(data),
                "signature": _text(signature),
                "userHandle": _text(chosen.user_handle),
            },
        }

    def _data(self, credential: Credential, *, more: int = 0) -> bytes:
        flags = UP | (UV if self.verifies else 0) | more
        return hashlib.sha256(credential.rp_id.encode()).digest() + bytes([flags]) + credential.count.to_bytes(4, "big")


def _client(kind: str, challenge: str, origin: str) -> bytes:
    return json.dumps({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}).encode()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
