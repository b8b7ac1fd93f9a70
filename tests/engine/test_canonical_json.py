from __future__ import annotations

import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import canonical_json

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-canonical_json.INTEGER_MAX, canonical_json.INTEGER_MAX)
    | st.floats(-(2.0**53) + 1, 2.0**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


# RFC 8785, appendix B: IEEE 754 bits and the text that ECMAScript prints for them.
@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_are_written_as_the_standard_lists_them(bits: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_json.encode(number) == text.encode()


def test_members_are_sorted_by_utf_16_code_units() -> None:
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\u00f6": 7}
    names = [name for name, _ in json.JSONDecoder(object_pairs_hook=list).decode(canonical_json.encode(value).decode())]
    assert names == ["\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


def test_strings_escape_only_what_json_demands() -> None:
    assert canonical_json.encode("\u20ac$\x0f\nA'B\"\\/") == '"\u20ac$\\u000f\\nA\'B\\"\\\\/"'.encode()


@given(JSON_VALUES)
def test_a_value_survives_and_its_form_is_stable(value: object) -> None:
    form = canonical_json.encode(value)
    again = canonical_json.decode(form)
    assert again == value
    assert canonical_json.encode(again) == form


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**53, "\ud800", b"x", {1: 2}, object()])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(canonical_json.NotCanonical):
        canonical_json.encode(value)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"a":{"b":1,"b":1}}',
        "NaN",
        "[Infinity]",
        "{",
        "",
        "[" * 100_000,
        "9" * 5_000,
        b"\xff",
    ],
)
def test_texts_that_can_be_read_in_two_ways_are_refused(text: str | bytes) -> None:
    with pytest.raises(canonical_json.NotCanonical):
        canonical_json.decode(text)
