"""Principals: what makes two the same, and their public names."""

from __future__ import annotations

import pytest

from engine import ids
from engine.principals import SYSTEM, Principal, PrincipalKind


def test_the_display_name_is_no_part_of_the_identity() -> None:
    key = ids.uuid7()
    one, two = Principal("member", key, "Ada"), Principal("member", key, "Ada L.")
    assert one == two
    assert len({one, two}) == 1
    assert one != Principal("app", key, "Ada")
    assert one != object()


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [("member", "mem"), ("app", "app"), ("device", "dev"), ("operator", "opr"), ("system", "sys")],
)
def test_every_kind_has_a_public_id(kind: PrincipalKind, prefix: str) -> None:
    key = ids.uuid7()
    assert ids.decode(prefix, Principal(kind, key).public_id) == key


def test_the_platform_itself_is_a_principal() -> None:
    assert SYSTEM.public_id == "sys_00000000000000000000000000"
