"""Hashes and seals of the idempotency keys. No Django.

The hash of a body is keyed, because a body may hold a password: a plain hash of it could be guessed
offline. The hash of a key is not, so that a key is known again after the platform's secret changed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Scope:
    """Where one key counts: who sent it, to which endpoint of which organization."""

    tenant: str
    principal: str
    endpoint: str
    key: str

    def _material(self) -> bytes:
        return json.dumps([self.tenant, self.principal, self.endpoint, self.key]).encode()

    def key_hash(self) -> bytes:
        """What the table keeps instead of the key."""
        return hashlib.sha256(b"keystead-idempotency-key\x00" + self._material()).digest()

    def lock_number(self) -> int:
        """A signed 64-bit number for an advisory lock, different for each scope."""
        digest = hashlib.sha256(b"keystead-idempotency-lock\x00" + self._material()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)

    def body_hash(self, secret: bytes, body: Any) -> bytes:
        """A hash of the JSON body; the order of its keys does not matter."""
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        message = b"keystead-idempotency-body\x00" + self._material() + b"\x00" + canonical.encode()
        return hmac.new(secret, message, hashlib.sha256).digest()

    def seal(self, secret: bytes, answer: bytes) -> bytes:
        """Encrypt an answer (AES-256-GCM) so that only a caller who sends the key gets it back."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._answer_key(secret)).encrypt(nonce, answer, b"answer")

    def open(self, secret: bytes, sealed: bytes) -> bytes:
        """Decrypt what `seal` made. Raises cryptography.exceptions.InvalidTag for anything else."""
        nonce, box = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        return AESGCM(self._answer_key(secret)).decrypt(nonce, box, b"answer")

    def _answer_key(self, secret: bytes) -> bytes:
        derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=self._material(), info=b"keystead-answer")
        return derive.derive(secret)
