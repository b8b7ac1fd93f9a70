from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.devices.rules import proofs
from tests.factories.device_keys import DeviceKey

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
AUDIENCE = "wss://acme.keystead.example/v1/gateway"
NAMES = frozenset({"sub", "nonce"})
KEY = DeviceKey()


def good_claims(**changes: Any) -> dict[str, Any]:
    return {"aud": AUDIENCE, "iat": int(NOW.timestamp()), "sub": "dev_1", "nonce": "n", **changes}


def check(token: str, key: DeviceKey = KEY, now: datetime = NOW) -> dict[str, Any]:
    return proofs.claims(token, key=key.public, typ=proofs.GATEWAY, audience=AUDIENCE, now=now, names=NAMES)


def test_a_good_proof_gives_its_claims() -> None:
    assert check(KEY.jws(good_claims())) == good_claims()


@pytest.mark.parametrize(
    ("claims", "header", "reason"),
    [
        ({}, {"typ": "JWT"}, "wrong_typ"),
        ({}, {"typ": proofs.CLAIM}, "wrong_typ"),
        ({}, {"alg": "none"}, "wrong_alg"),
        ({}, {"alg": "HS256"}, "wrong_alg"),
        ({}, {"alg": "Ed448"}, "wrong_alg"),
        ({}, {"crit": ["exp"]}, "unknown_header"),
        ({}, {"jwk": DeviceKey().jwk}, "unknown_header"),
        ({"aud": "wss://other.keystead.example/v1/gateway"}, {}, "wrong_aud"),
        ({"aud": AUDIENCE + "/"}, {}, "wrong_aud"),
        ({"aud": [AUDIENCE]}, {}, "wrong_claims"),
        ({"nonce": 7}, {}, "wrong_claims"),
        ({"extra": "x"}, {}, "wrong_claims"),
        ({"iat": "1"}, {}, "wrong_claims"),
        ({"iat": True}, {}, "wrong_claims"),
        ({"iat": 2**50}, {}, "wrong_claims"),
        ({"iat": int(NOW.timestamp()) - 61}, {}, "wrong_moment"),
        ({"iat": int(NOW.timestamp()) + 61}, {}, "wrong_moment"),
    ],
)
def test_a_proof_for_something_else_is_refused(claims: dict[str, Any], header: dict[str, Any], reason: str) -> None:
    with pytest.raises(proofs.InvalidProofError) as caught:
        check(KEY.jws(good_claims(**claims), **header))
    assert caught.value.reason == reason


def test_a_missing_claim_is_refused() -> None:
    claims = good_claims()
    del claims["nonce"]
    with pytest.raises(proofs.InvalidProofError, match="wrong_claims"):
        check(KEY.jws(claims))


@pytest.mark.parametrize("seconds", [-60, 0, 60])
def test_a_clock_may_be_a_minute_off(seconds: int) -> None:
    assert check(KEY.jws(good_claims()), now=NOW + timedelta(seconds=seconds))


def test_another_key_does_not_prove_this_one() -> None:
    with pytest.raises(proofs.InvalidProofError, match="wrong_signature"):
        check(DeviceKey().jws(good_claims()))


@given(st.data())
def test_no_changed_character_goes_unnoticed(data: st.DataObject) -> None:
    token = KEY.jws(good_claims())
    position = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.characters(codec="ascii").filter(lambda c: c != token[position]))
    with pytest.raises(proofs.InvalidProofError):
        check(token[:position] + character + token[position + 1 :])


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c", "..", "a.b.c.d", "é.b.c", "e30.e30.", "x" * 3000])
def test_garbage_is_malformed(text: str) -> None:
    with pytest.raises(proofs.InvalidProofError):
        check(text)


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "EC", "crv": "P-256", "x": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": KEY.jwk["x"]},
        {"kty": "OKP", "crv": "Ed25519"},
        {"kty": "OKP", "crv": "Ed25519", "x": 5},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "x": KEY.jwk["x"] + "="},
        {**KEY.jwk, "d": "secret"},
    ],
)
def test_only_public_ed25519_keys_are_taken(jwk: dict[str, Any]) -> None:
    with pytest.raises(proofs.InvalidKeyError):
        proofs.PublicKey.from_jwk(jwk)


@pytest.mark.parametrize("y", sorted(proofs._LOW_ORDER_Y))
def test_keys_under_which_one_signature_holds_for_many_messages_are_refused(y: int) -> None:
    raw = y.to_bytes(32, "little")
    with pytest.raises(proofs.InvalidKeyError):
        proofs.PublicKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": proofs.to_base64url(raw)})


def test_a_key_has_one_name() -> None:
    # RFC 8037, appendix A.3.
    x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    key = proofs.PublicKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": x})
    assert key.thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
