"""Fields take exactly what they say."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.currencies import CURRENCIES, MINOR_DIGITS
from tests.engine.api.sample import ThingInput

VECTOR = [0.5] * 64

GOOD: list[tuple[str, Any]] = [
    ("amount_minor", 1),
    ("amount_minor", 10**12),
    ("currency", "EUR"),
    ("site", "site_01h455vb4pex5vsknk084sn02q"),
    ("blob", base64.b64encode(b"x" * 16).decode()),
    ("vector", VECTOR),
    ("vector", [1] * 64),
    ("vector", [0] * 63 + [-1e-30]),
    ("inner", {"name": "a"}),
    ("flag", False),
    ("caption", "ü"),
    ("metadata", {"a": [1, {"b": None}]}),
]
BAD_VALUES: dict[str, list[Any]] = {
    "amount_minor": [0, -1, 10**12 + 1, 1.0, "1", True, None, [], {}, 1.5],
    "currency": ["eur", "XXX", "EURO", "", 978, None, ["EUR"], "EU", "XAU"],
    "site": ["", "per_01h455vb4pex5vsknk084sn02q", 1, None, {}, "site_"],
    "blob": [
        *["", "@@", "YQ", "YQ=", "Y Q==", 1, None, "A" * 10_000, "YQ==\n"],
        base64.b64encode(b"x" * 17).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe\xfd").decode(),
    ],
    "vector": [
        *["text", 1, None, {}, [], [0.5] * 63, [0.5] * 129, [0.0] * 64, [0] * 64, [1e-46] * 64],
        *[[*VECTOR[1:], last] for last in ("1", True, None, [1], 1e39, float("nan"))],
    ],
    "inner": ["a", [], 1, {"name": "a", "more": 1}, {}, {"name": 1}, {"name": "x" * 11}],
    "flag": ["true", 1, 0, "no", None],
    "caption": [1, True, None, "", "  ", "x" * 21, ["a"]],
    "metadata": ["a", [], None, {"a": "x" * 64}],
    "nothing": [1],
}
BAD = [(field, value) for field, values in BAD_VALUES.items() for value in values]


def errors_of(data: Any) -> dict[str, Any]:
    serializer = ThingInput(data=data)
    serializer.is_valid()
    return dict(serializer.errors)


@pytest.mark.parametrize(("field", "value"), GOOD)
def test_what_is_taken(field: str, value: Any) -> None:
    assert errors_of({field: value}) == {}


@pytest.mark.parametrize(("field", "value"), BAD)
def test_what_is_refused_by_name(field: str, value: Any) -> None:
    assert list(errors_of({field: value})) == [field]


def test_every_fault_is_named_at_once() -> None:
    assert set(errors_of({"amount_minor": 0, "currency": "?", "nothing": 1})) == {
        "amount_minor",
        "currency",
        "nothing",
    }


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.dictionaries(st.sampled_from(sorted(ThingInput().fields)), ANYTHING))
def test_nothing_breaks_a_serializer(data: dict[str, Any]) -> None:
    errors_of(data)


def test_currencies_know_their_digits() -> None:
    assert (MINOR_DIGITS["EUR"], MINOR_DIGITS["JPY"], MINOR_DIGITS["KWD"]) == (2, 0, 3)
    assert all(len(code) == 3 and code.isupper() for code in CURRENCIES)
    assert not {"XXX", "XTS", "XAU", "HRK", "DEM"} & CURRENCIES
