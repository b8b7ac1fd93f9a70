"""What a device's firmware does: hold a key, prove it, sign."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine import canonical_json
from tenants.devices.rules import proofs


@dataclass
class DeviceKey:
    """An Ed25519 key as a device holds it."""

    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def public(self) -> proofs.PublicKey:
        return proofs.PublicKey(self.private.public_key().public_bytes_raw())

    @property
    def jwk(self) -> dict[str, str]:
        return {"kty": "OKP", "crv": "Ed25519", "x": proofs.to_base64url(self.public.raw)}

    def jws(self, claims: dict[str, Any], **header: Any) -> str:
        head = {"typ": proofs.GATEWAY, "alg": "EdDSA", **header}
        signed = ".".join(proofs.to_base64url(canonical_json.encode(part)) for part in (head, claims))
        return f"{signed}.{proofs.to_base64url(self.private.sign(signed.encode()))}"

    def proof(self, *, typ: str, audience: str, iat: int | None = None, **claims: Any) -> str:
        issued = int(time.time()) if iat is None else iat
        return self.jws({"aud": audience, "iat": issued, **claims}, typ=typ)

    def sign(self, frame: dict[str, Any]) -> dict[str, Any]:
        """The frame with its signature, as docs/gateway.md describes it."""
        return {**frame, "signature": proofs.to_base64url(self.private.sign(canonical_json.encode(frame)))}
