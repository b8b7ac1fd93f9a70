"""Nothing opens but what was sealed: not with a byte changed, another key or another context."""

import hashlib
import hmac
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from engine.keys import contexts
from engine.keys.envelope import (
    OVERHEAD,
    EnvelopeBroken,
    KeyName,
    name_of,
    open_into,
    open_sealed,
    seal,
)

KEY = bytes(range(32))
NAME = KeyName(id=UUID(int=7), version=3)
CONTEXT = {"organization": "a", "person": "p"}
FIELDS: dict[str, Any] = {
    "organization_id": UUID(int=1),
    "person_id": UUID(int=2),
    "modality": "face",
    "model": "arc-512",
    "version": 1,
    "key_id": UUID(int=3),
}
PLAINTEXTS = st.binary(max_size=300)
KEYS = st.binary(min_size=32, max_size=32)


@given(PLAINTEXTS, KEYS)
def test_what_is_sealed_opens(plaintext: bytes, key: bytes) -> None:
    sealed = seal(key, plaintext, key=NAME, context=CONTEXT)
    assert len(sealed) == len(plaintext) + OVERHEAD
    assert name_of(sealed) == NAME
    assert open_sealed(key, sealed, key=NAME, context=CONTEXT) == plaintext


@given(PLAINTEXTS, st.data())
def test_any_changed_byte_is_refused(plaintext: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal(KEY, plaintext, key=NAME, context=CONTEXT))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EnvelopeBroken):
        open_sealed(KEY, bytes(sealed), key=NAME, context=CONTEXT)


def test_every_bit_of_an_envelope_is_held() -> None:
    sealed = seal(KEY, b"sixteen bytes...", key=NAME, context=CONTEXT)
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(EnvelopeBroken):
            open_sealed(KEY, bytes(changed), key=NAME, context=CONTEXT)


@given(PLAINTEXTS, st.data())
def test_a_cut_or_lengthened_envelope_is_refused(plaintext: bytes, data: st.DataObject) -> None:
    sealed = seal(KEY, plaintext, key=NAME, context=CONTEXT)
    cut = sealed[: data.draw(st.integers(0, len(sealed) - 1))]
    for changed in (cut, sealed + data.draw(st.binary(min_size=1, max_size=20))):
        with pytest.raises(EnvelopeBroken):
            open_sealed(KEY, changed, key=NAME, context=CONTEXT)


@given(KEYS)
def test_any_other_key_is_refused(other: bytes) -> None:
    sealed = seal(KEY, b"secret", key=NAME, context=CONTEXT)
    if other != KEY:
        with pytest.raises(EnvelopeBroken, match="not the one"):
            open_sealed(other, sealed, key=NAME, context=CONTEXT)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("organization_id", UUID(int=9)),
        ("person_id", UUID(int=9)),
        ("modality", "palm"),
        ("model", "arc-513"),
        ("version", 2),
        ("key_id", UUID(int=9)),
    ],
)
def test_any_changed_field_of_a_template_is_refused(field: str, value: object) -> None:
    sealed = seal(KEY, b"vector", key=NAME, context=contexts.template(**FIELDS))
    assert open_sealed(KEY, sealed, key=NAME, context=contexts.template(**FIELDS)) == b"vector"
    with pytest.raises(EnvelopeBroken):
        open_sealed(KEY, sealed, key=NAME, context=contexts.template(**{**FIELDS, field: value}))


def test_a_purpose_is_a_field_too() -> None:
    ids = {"organization_id": UUID(int=1), "person_id": UUID(int=2), "key_id": UUID(int=3)}
    sealed = seal(KEY, KEY, key=NAME, context=contexts.person_key(purpose="biometric", **ids))
    with pytest.raises(EnvelopeBroken):
        open_sealed(KEY, sealed, key=NAME, context=contexts.person_key(purpose="documents", **ids))


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4))
def test_any_other_context_is_refused(other: dict[str, str]) -> None:
    sealed = seal(KEY, b"secret", key=NAME, context=CONTEXT)
    if other != CONTEXT:
        with pytest.raises(EnvelopeBroken):
            open_sealed(KEY, sealed, key=NAME, context=other)


@pytest.mark.parametrize("name", [KeyName(UUID(int=8), 3), KeyName(UUID(int=7), 4)])
def test_the_name_of_the_key_has_to_match(name: KeyName) -> None:
    sealed = seal(KEY, b"secret", key=NAME, context=CONTEXT)
    with pytest.raises(EnvelopeBroken, match="another key"):
        open_sealed(KEY, sealed, key=name, context=CONTEXT)


def test_two_seals_of_one_plaintext_share_nothing_but_the_header() -> None:
    one, other = (seal(KEY, b"x" * 64, key=NAME, context=CONTEXT) for _ in range(2))
    assert one[:23] == other[:23]
    assert one[23:] != other[23:]
    assert one[79:] != other[79:]


def test_the_construction_is_the_documented_one() -> None:
    """Rebuilt from the module's description with other code, so that old rows stay readable."""
    nonce = bytes(range(100, 124))
    sealed = seal(KEY, b"vector", key=NAME, context=CONTEXT, random=lambda size: nonce[:size])
    header = b"KS\x01" + (3).to_bytes(4, "big") + UUID(int=7).bytes + nonce
    aad = contexts.encode(CONTEXT)
    info = b"keystead envelope 1" + header + hashlib.sha256(aad).digest()
    okm = hmac.new(KEY, info + b"\x01", hashlib.sha512).digest()
    ciphertext = AESGCM(okm[:32]).encrypt(nonce[12:], b"vector", header + aad)
    assert sealed == header + okm[32:] + ciphertext


def test_a_ciphertext_that_opens_under_two_keys_is_refused_by_the_commitment() -> None:
    """GCM without commitment lets an attacker choose such a pair; here the second key never gets
    as far as GCM, because its commitment differs from the stored one."""
    sealed = seal(KEY, b"x" * 16, key=NAME, context=CONTEXT)
    other = bytes(32)
    for start in (0, 47):
        mixed = seal(other, b"x" * 16, key=NAME, context=CONTEXT)
        with pytest.raises(EnvelopeBroken):
            open_sealed(KEY, mixed[:start] + sealed[start:79] + mixed[79:], key=NAME, context=CONTEXT)


def test_a_buffer_of_the_wrong_length_is_refused() -> None:
    sealed = seal(KEY, b"12345678", key=NAME, context=CONTEXT)
    buffer = bytearray(8)
    open_into(buffer, KEY, sealed, key=NAME, context=CONTEXT)
    assert buffer == b"12345678"
    with pytest.raises(ValueError):
        open_into(bytearray(7), KEY, sealed, key=NAME, context=CONTEXT)


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33)])
def test_a_key_has_32_bytes(key: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        seal(key, b"x", key=NAME, context=CONTEXT)
