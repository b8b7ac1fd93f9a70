"""Bad bodies are 4xx problems that name the field, and never reach a view."""

from __future__ import annotations

import json
from contextlib import suppress
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.test import APIClient

from engine.api import parsing
from tests.engine.api.test_problems import problem_of

BROKEN = [
    b"",
    b"{",
    b'{"a": 1,}',
    b"nonsense",
    b'{"a": 1} {"a": 2}',
    b"\xff\xfe{}",
    b'{"a": "\xc3\x28"}',
    b"[" * 100_000,
    b"[" * 100 + b"]" * 100,
    b'{"a":' * 200 + b"1" + b"}" * 200,
    b'{"a": 1, "a": 2}',
    b'{"a": ' + b"9" * 5000 + b"}",
    b"'single'",
]
AT_A_FIELD = [
    (b'{"amount_minor": NaN}', "amount_minor"),
    (b'{"amount_minor": Infinity}', "amount_minor"),
    (b'{"amount_minor": -Infinity}', "amount_minor"),
    (b'{"amount_minor": 1e999}', "amount_minor"),
    (b'{"amount_minor": 99999999999999999999999999}', "amount_minor"),
    (b'{"inner": {"name": "a\\u0000b"}}', "inner.name"),
    (b'{"inner": {"name": "\\ud800"}}', "inner.name"),
    (b'{"vector": [1, 2, NaN]}', "vector.2"),
    (b'{"a\\u0000": 1}', "body"),
]


def send(client: Any, body: bytes, content_type: str = "application/json"):
    return client.generic("POST", "/v1/things", body, content_type=content_type)


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("body", BROKEN[1:], ids=range(len(BROKEN) - 1))
def test_a_broken_body(signed_in: APIClient, body: bytes) -> None:
    problem_of(send(signed_in, body), 400, "invalid_json")


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(("body", "field"), AT_A_FIELD)
def test_a_value_that_cannot_be_stored_is_named(signed_in: APIClient, body: bytes, field: str) -> None:
    answer = problem_of(send(signed_in, body), 400, "invalid_input")
    assert field in [error["field"] for error in answer["errors"]]


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("body", [b"[]", b"1", b'"text"', b"null", b"true", b"[[{}]]"])
def test_a_body_that_is_no_object(signed_in: APIClient, body: bytes) -> None:
    problem_of(send(signed_in, body), 400, "invalid_input")


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "/"],
)
def test_another_media_type(signed_in: APIClient, content_type: str) -> None:
    problem_of(send(signed_in, b"a=b", content_type), 415, "unsupported_media_type")


@pytest.mark.usefixtures("db")
def test_a_charset_does_not_change_how_it_is_read(signed_in: APIClient) -> None:
    response = send(signed_in, '{"caption": "ü"}'.encode(), "application/json; charset=bz2_codec")
    assert response.status_code == 201


@pytest.mark.usefixtures("db")
def test_a_body_that_is_too_large_is_not_read(signed_in: APIClient) -> None:
    body = problem_of(signed_in.post("/v1/small", {"a": "x" * 100}), 413, "body_too_large")
    assert body["max_bytes"] == 50
    assert signed_in.post("/v1/small", {"a": "x"}).status_code == 200


@pytest.mark.usefixtures("db")
def test_the_announced_length_decides_before_a_byte_is_read(signed_in: Any) -> None:
    class Unreadable(BytesIO):
        def read(self, *_: object) -> bytes:
            raise AssertionError("the body was read")

        def __len__(self) -> int:
            return 10_000_000_000

    response = signed_in.generic(
        "POST", "/v1/things", b"x", CONTENT_LENGTH="10000000000", **{"wsgi.input": Unreadable()}
    )
    problem_of(response, 413, "body_too_large")


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    "extra", [{"CONTENT_LENGTH": "x"}, {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}]
)
def test_a_length_that_cannot_be_trusted(signed_in: Any, extra: dict[str, str]) -> None:
    response = signed_in.generic("POST", "/v1/things", b"{}", **extra)
    assert response.status_code in {400, 411}
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("?endpoint=%00", "endpoint", "invalid"),
        ("?endpoint=a&endpoint=b", "endpoint", "invalid"),
        ("?nothing=1", "nothing", "unknown_parameter"),
        ("?%00=1", "?", "invalid"),
        ("?endpoint=" + "x" * 201, "endpoint", "max_length"),
    ],
)
def test_bad_query_parameters(signed_in: APIClient, query: str, field: str, code: str) -> None:
    error = problem_of(signed_in.get("/v1/things" + query), 400, "invalid_input")["errors"][0]
    assert (error["field"].replace("\x00", "?"), error["code"]) == (field, code)


@pytest.mark.usefixtures("db")
def test_any_accept_header_gets_json(signed_in: APIClient) -> None:
    for accept in ("text/html", "application/xml", "nonsense", "*/*", ""):
        response = signed_in.get("/v1/things", HTTP_ACCEPT=accept)
        assert response["Content-Type"] == "application/json"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=JSON_VALUES)
def test_what_passes_is_what_was_sent(value: object) -> None:
    text = json.dumps(value)
    try:
        decoded = parsing.decode(text.encode())
    except (ParseError, ValidationError):
        return
    assert json.dumps(decoded) == text


@given(body=st.binary())
def test_no_bytes_break_the_parser(body: bytes) -> None:
    with suppress(ParseError, ValidationError):
        parsing.decode(body)


class TestAsgiLimit:
    """The same limit in front of an ASGI application."""

    @staticmethod
    async def call(chunks: list[bytes], headers: list[tuple[bytes, bytes]]) -> tuple[int, list[bytes]]:
        sent: list[dict] = []
        seen: list[bytes] = []

        async def app(scope, receive, send) -> None:
            more = True
            while more:
                message = await receive()
                seen.append(message.get("body", b""))
                more = message.get("more_body", False)
            await send({"type": "http.response.start", "status": 200, "headers": []})

        parts = iter(chunks)

        async def receive() -> dict:
            body = next(parts)
            return {"type": "http.request", "body": body, "more_body": body != chunks[-1]}

        async def send(message: dict) -> None:
            sent.append(message)

        scope = {"type": "http", "headers": headers}
        await parsing.BodyLimit(app, max_bytes=10)(scope, receive, send)
        return sent[0]["status"], seen

    async def test_a_small_body_passes_unchanged(self) -> None:
        assert await self.call([b"12345", b"67890"], []) == (200, [b"12345", b"67890"])

    async def test_an_announced_large_body_is_not_read(self) -> None:
        assert await self.call([], [(b"content-length", b"11")]) == (413, [])

    async def test_a_chunked_large_body_is_cut_off(self) -> None:
        assert await self.call([b"123456", b"789012", b"never"], []) == (413, [])
