"""Contexts are encoded so that no two of them share their bytes."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from engine.keys import contexts

CONTEXTS = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=5)


def parse(raw: bytes) -> dict[str, str]:
    """Read the encoding back: what can be read back in one way only is unambiguous."""
    assert raw.startswith(b"keystead-context-1")
    at = len(b"keystead-context-1")

    def take(size: int) -> bytes:
        nonlocal at
        at += size
        assert at <= len(raw)
        return raw[at - size : at]

    def text() -> str:
        return take(int.from_bytes(take(4), "big")).decode()

    count = int.from_bytes(take(4), "big")
    found = {text(): text() for _ in range(count)}
    assert at == len(raw)
    assert len(found) == count
    return found


@given(CONTEXTS)
def test_an_encoding_reads_back_as_the_context_it_came_from(context: dict[str, str]) -> None:
    assert parse(contexts.encode(context)) == context


@given(CONTEXTS, CONTEXTS)
def test_two_contexts_share_bytes_only_when_they_are_equal(one: dict[str, str], other: dict[str, str]) -> None:
    assert (contexts.encode(one) == contexts.encode(other)) == (one == other)


def test_the_order_of_the_fields_does_not_matter() -> None:
    assert contexts.encode({"a": "1", "b": "2"}) == contexts.encode({"b": "2", "a": "1"})


def test_bytes_cannot_move_between_a_name_and_its_value() -> None:
    assert contexts.encode({"ab": "c"}) != contexts.encode({"a": "bc"})
    assert contexts.encode({"a": ""}) != contexts.encode({})


def test_the_bytes_stay_what_stored_rows_were_bound_to() -> None:
    context = contexts.template(
        organization_id=UUID(int=1),
        person_id=UUID(int=2),
        modality="face",
        model="m1",
        version=3,
        key_id=UUID(int=4),
    )
    fields = [
        ("key", str(UUID(int=4))),
        ("kind", "template"),
        ("modality", "face"),
        ("model", "m1"),
        ("organization", str(UUID(int=1))),
        ("person", str(UUID(int=2))),
        ("purpose", "biometric"),
        ("template-version", "3"),
    ]
    expected = b"keystead-context-1" + (8).to_bytes(4, "big")
    for pair in fields:
        for text in pair:
            expected += len(text).to_bytes(4, "big") + text.encode()
    assert contexts.encode(context) == expected
