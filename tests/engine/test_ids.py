"""Identifiers against the vectors of the TypeID specification and under hypothesis."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import ids

# From valid.yml of the TypeID specification 0.3.
VALID = [
    ("prefix_01h455vb4pex5vsknk084sn02q", "prefix", "01890a5d-ac96-774b-bcce-b302099a8057"),
    ("prefix_0123456789abcdefghjkmnpqrs", "prefix", "0110c853-1d09-52d8-d73e-1194e95b5f19"),
    ("prefix_7zzzzzzzzzzzzzzzzzzzzzzzzz", "prefix", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    ("pre_fix_00000000000000000000000000", "pre_fix", "00000000-0000-0000-0000-000000000000"),
]


@pytest.mark.parametrize(("text", "prefix", "value"), VALID)
def test_vectors_of_the_specification(text: str, prefix: str, value: str) -> None:
    assert ids.encode(prefix, UUID(value)) == text
    assert ids.decode(prefix, text) == UUID(value)


@given(value=st.uuids(), prefix=st.from_regex(r"\A[a-z]{1,8}\Z"))
def test_any_uuid_survives_the_round_trip(value: UUID, prefix: str) -> None:
    assert ids.decode(prefix, ids.encode(prefix, value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pay",
        "pay_",
        "_01h455vb4pex5vsknk084sn02q",
        "01h455vb4pex5vsknk084sn02q",
        "per_01h455vb4pex5vsknk084sn02q",
        "PAY_01h455vb4pex5vsknk084sn02q",
        "pay_01H455VB4PEX5VSKNK084SN02Q",
        "pay_81h455vb4pex5vsknk084sn02q",
        "pay_01h455vb4pex5vsknk084sn02",
        "pay_01h455vb4pex5vsknk084sn02qq",
        "pay_01h455vb4pex5vsknk084sn02u",
        "pay_01h455vb4pex5vsknk084sn02\n",
        "pay_01h455vb4pex5vsknk084sn0２q",
        "pay_pay_01h455vb4pex5vsknk084sn02q",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ids.InvalidId):
        ids.decode("pay", text)


@given(text=st.text())
def test_no_text_breaks_the_decoder(text: str) -> None:
    try:
        value = ids.decode("pay", text)
    except ids.InvalidId:
        return
    assert ids.encode("pay", value) == text


@pytest.mark.parametrize("prefix", ["", "Pay", "pay_", "_pay", "p1", "p" * 64])
def test_a_prefix_outside_the_specification_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        ids.encode(prefix, UUID(int=1))


def test_uuid7_has_its_version_its_variant_and_the_time() -> None:
    before = time.time_ns() // 1_000_000
    value = ids.uuid7()
    assert value.version == 7
    assert value.variant == RFC_4122
    assert value.int >> 80 >= before


def test_uuid7_never_repeats_and_keeps_its_order_in_each_thread() -> None:
    def make(_: int) -> list[UUID]:
        return [ids.uuid7() for _ in range(2_000)]

    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(make, range(4)))
    assert all(run == sorted(run) for run in runs)
    assert len({value for run in runs for value in run}) == 8_000
