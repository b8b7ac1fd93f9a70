from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devkit.sandbox import forms


def test_brackets_nest_and_lists_keep_their_order() -> None:
    body = b"amount=5&metadata[a]=1&metadata[b]=x%26y&types[]=card&types[]=link"
    body += b"&items[1][q]=b&items[0][q]=a"
    assert forms.decode(body) == {
        "amount": "5",
        "metadata": {"a": "1", "b": "x&y"},
        "types": ["card", "link"],
        "items": [{"q": "a"}, {"q": "b"}],
    }


@pytest.mark.parametrize(
    "body",
    [b"a[b=1", b"[]=1", b"a=1&a[b]=2", b"a[b]=1&a=2", b"a[b][c][d][e][f][g]=1", b"\xff=1", b"a]=1"],
)
def test_what_is_not_a_form_is_refused(body: bytes) -> None:
    with pytest.raises(forms.MalformedFormError):
        forms.decode(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_understood_or_refused(body: bytes) -> None:
    with contextlib.suppress(forms.MalformedFormError):
        assert isinstance(forms.decode(body), dict)
