from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from shared.accounts import rules


@given(st.binary(min_size=32, max_size=32))
def test_every_token_has_one_length_and_is_recognised(raw: bytes) -> None:
    token = rules.new_token("kst", random_bytes=lambda count: raw[:count])

    assert len(token) == 4 + rules.TOKEN_CHARACTERS
    assert rules.looks_like_token("kst", token)
    assert not rules.looks_like_token("kin", token)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_different_bytes_give_different_tokens(one: bytes, other: bytes) -> None:
    tokens = {rules.new_token("kst", random_bytes=lambda count, raw=raw: raw[:count]) for raw in (one, other)}

    assert len(tokens) == len({one, other})


@given(st.text())
def test_other_text_is_never_taken_for_a_token_of_another_length(text: str) -> None:
    if len(text) != 4 + rules.TOKEN_CHARACTERS:
        assert not rules.looks_like_token("kst", text)


def test_addresses_are_equal_in_any_spelling() -> None:
    assert rules.normalise_email("  Ada@Example.COM ") == rules.normalise_email("ada@example.com")
    # The full-width letters of an input method are the same letters.
    assert rules.normalise_email("\uff41da@example.com") == "ada@example.com"


def test_what_is_stored_is_not_the_token() -> None:
    token = rules.new_token("kst")

    assert rules.hash_token(token) == hashlib.sha256(token.encode()).hexdigest()
