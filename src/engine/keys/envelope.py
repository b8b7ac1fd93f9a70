"""The one format of everything that Keystead seals: AES-256-GCM with key commitment.

    offset  0  magic "KS"
            2  format, 1
            3  version of the key, 32 bits, big endian
            7  id of the key, a UUID
           23  nonce, 24 random bytes
           47  commitment, 32 bytes
           79  ciphertext, as long as the plaintext, then the 16-byte GCM tag

AES-GCM alone does not commit to its key: a ciphertext can be built that opens under two keys to
two plaintexts (Grubbs, Lu, Ristenpart, "Message Franking via Committing Authenticated Encryption",
CRYPTO 2017; Albertini et al., "How to Abuse and Fix Authenticated Encryption Without Key
Commitment", USENIX Security 2022). So each message derives, from the key and its own 24-byte
nonce, an encryption key and a commitment that is stored and compared first, as the AWS Encryption
SDK does in its suites with commitment:

    header     = bytes 0..46
    okm        = HKDF-Expand-SHA-512(key, "keystead envelope 1" | header | SHA-256(aad), 64)
    key, commitment = okm[:32], okm[32:]
    ciphertext = AES-256-GCM(key, nonce[12:], plaintext, header | aad)

The extract step of HKDF is left out, as RFC 5869 section 3.3 allows for keys that are uniformly
random already; 64 bytes are exactly one block of SHA-512, so the whole derivation is one HMAC.
The commitment covers key, header, nonce and associated data, so all of them are committed to.
A key per message also lifts GCM's limit on messages per key.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.keys.contexts import Context, encode

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 24
OVERHEAD: Final = 79 + 16
"""How many bytes longer a sealed value is than its plaintext."""

_MAGIC: Final = b"KS\x01"
_NAME_END: Final = 3 + 4 + 16
_HEADER_BYTES: Final = _NAME_END + NONCE_BYTES
_COMMITMENT_END: Final = _HEADER_BYTES + 32
_LABEL: Final = b"keystead envelope 1"

Material = bytes | bytearray | memoryview


class EnvelopeBroken(Exception):
    """These bytes are not an envelope, or were not sealed under this key and context."""


@dataclass(frozen=True, slots=True)
class KeyName:
    """Which key sealed an envelope, as its header says (proven only by opening it)."""

    id: UUID
    version: int


def seal(
    material: Material,
    plaintext: Material,
    *,
    key: KeyName,
    context: Context,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> bytes:
    """Seal `plaintext` under a 32-byte key, bound to `context` and to the key's name."""
    header = _named(key) + random(NONCE_BYTES)
    aad = encode(context)
    message_key, commitment = _derive(material, header, aad)
    sealed = AESGCM(message_key).encrypt(header[-12:], plaintext, header + aad)
    return b"".join((header, commitment, sealed))


def open_sealed(material: Material, envelope: bytes, *, key: KeyName, context: Context) -> bytearray:
    """The plaintext of an envelope that `key` sealed in `context`; else EnvelopeBroken."""
    plaintext = bytearray(max(0, len(envelope) - OVERHEAD))
    open_into(plaintext, material, envelope, key=key, context=context)
    return plaintext


def open_into(
    buffer: bytearray | memoryview,
    material: Material,
    envelope: bytes,
    *,
    key: KeyName,
    context: Context,
) -> None:
    """As `open_sealed`, into a buffer of exactly the plaintext's length."""
    # Bytes are compared first: to parse each header would double the cost of opening a gallery.
    if envelope[:_NAME_END] != _named(key) or len(envelope) < OVERHEAD:
        name_of(envelope)
        raise EnvelopeBroken("sealed under another key")
    header = envelope[:_HEADER_BYTES]
    aad = encode(context)
    message_key, commitment = _derive(material, header, aad)
    if not hmac.compare_digest(commitment, envelope[_HEADER_BYTES:_COMMITMENT_END]):
        raise EnvelopeBroken("the key or the context is not the one that sealed this")
    try:
        AESGCM(message_key).decrypt_into(header[-12:], memoryview(envelope)[_COMMITMENT_END:], header + aad, buffer)
    except InvalidTag:
        raise EnvelopeBroken("the ciphertext was changed") from None


def name_of(envelope: bytes) -> KeyName:
    """The key that an envelope says it was sealed under; EnvelopeBroken when it is no envelope."""
    if len(envelope) < OVERHEAD or envelope[:3] != _MAGIC:
        raise EnvelopeBroken("not an envelope of format 1")
    return KeyName(id=UUID(bytes=envelope[7:23]), version=int.from_bytes(envelope[3:7], "big"))


def _named(key: KeyName) -> bytes:
    return b"".join((_MAGIC, key.version.to_bytes(4, "big"), key.id.bytes))


def _derive(material: Material, header: bytes, aad: bytes) -> tuple[bytes, bytes]:
    if len(material) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(material)}")
    info = b"".join((_LABEL, header, hashlib.sha256(aad).digest(), b"\x01"))
    okm = hmac.digest(material, info, "sha512")
    return okm[:32], okm[32:]
