"""Keys and answers in the table give nothing away."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidTag

from engine.idempotency.seal import Scope

SECRET = b"s" * 40
SCOPE = Scope(tenant="org:1:", principal="member:1", endpoint="POST v1/x", key="k1")
OTHERS = [
    replace(SCOPE, tenant="org:2:"),
    replace(SCOPE, principal="app:1"),
    replace(SCOPE, endpoint="POST v1/y"),
    replace(SCOPE, key="k2"),
]


@pytest.mark.parametrize("other", OTHERS)
def test_every_part_of_the_scope_counts(other: Scope) -> None:
    assert SCOPE.key_hash() != other.key_hash()
    assert SCOPE.lock_number() != other.lock_number()
    assert SCOPE.body_hash(SECRET, {}) != other.body_hash(SECRET, {})
    sealed = SCOPE.seal(SECRET, b"token")
    assert SCOPE.open(SECRET, sealed) == b"token"
    with pytest.raises(InvalidTag):
        other.open(SECRET, sealed)


def test_the_hash_of_a_body_depends_on_the_secret() -> None:
    other = b"t" * 40
    assert SCOPE.body_hash(SECRET, {"p": 1}) != SCOPE.body_hash(other, {"p": 1})


def test_the_order_of_keys_does_not_matter_and_values_do() -> None:
    one = SCOPE.body_hash(SECRET, {"a": 1, "b": [1, 2]})
    assert one == SCOPE.body_hash(SECRET, {"b": [1, 2], "a": 1})
    assert one != SCOPE.body_hash(SECRET, {"a": 1, "b": [2, 1]})
    assert one != SCOPE.body_hash(SECRET, {"a": "1", "b": [1, 2]})
    assert SCOPE.body_hash(SECRET, {"a": True}) != SCOPE.body_hash(SECRET, {"a": 1})


def test_lock_numbers_fit_into_a_bigint() -> None:
    numbers = [replace(SCOPE, key=str(i)).lock_number() for i in range(200)]
    assert all(-(2**63) <= number < 2**63 for number in numbers)
    assert any(number < 0 for number in numbers)
