from __future__ import annotations

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.devices.rules import codes

CODES = st.text(st.sampled_from(codes.ALPHABET), min_size=codes.LENGTH, max_size=codes.LENGTH)


@given(CODES)
def test_what_is_printed_can_be_typed_in_again(code: str) -> None:
    assert codes.normalized(codes.printed(code)) == code
    assert codes.normalized(f"  {codes.printed(code).lower()} ") == code


def test_letters_that_look_like_digits_are_read_as_those() -> None:
    assert codes.normalized("OIL0-1234-5678") == codes.normalized("0110-1234-5678")


@pytest.mark.parametrize("text", ["", "ABCD-EFGH", "ABCD-EFGH-JKMN-P", "ABCD-EFGH-JKM!", "ABCD-EFGH-JKMU"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(codes.MalformedCodeError):
        codes.normalized(text)


def test_codes_come_from_the_alphabet_and_differ() -> None:
    made = {codes.generate(secrets.choice) for _ in range(200)}
    assert len(made) == 200
    assert all(set(code) <= set(codes.ALPHABET) and len(code) == codes.LENGTH for code in made)


@given(CODES, CODES)
def test_digests_depend_on_the_code_and_on_the_pepper(first: str, second: str) -> None:
    digest = codes.digest(first, pepper=b"one")
    assert (digest == codes.digest(second, pepper=b"one")) == (first == second)
    assert digest != codes.digest(first, pepper=b"two")
    assert first.encode() not in digest
