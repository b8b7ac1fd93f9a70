"""Bad input is refused by name, and never answered with a 5xx."""

from __future__ import annotations

import base64
import json
import socket
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import numpy as np
import pytest

from tests.matcher.test_walls import mint, post
from tests.matcher.world import World, claims, new_model, text, vector

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("matcher")]


def raw(*values: float) -> str:
    return base64.b64encode(np.array(values, "<f4").tobytes()).decode()


GOOD: dict[str, dict[str, Any]] = {
    "identify": {"modality": "face", "model": "m", "vector": text(vector(1)), "k": 5},
    "verify": {"person_id": str(uuid4()), "modality": "face", "model": "m", "vector": text(vector(1))},
    "seal": {
        "person_id": str(uuid4()),
        "modality": "face",
        "model": "m",
        "version": 1,
        "person_key": None,
        "vector": text(vector(1)),
    },
    "evict": {"person_id": str(uuid4())},
    "refresh": {"person_id": str(uuid4())},
    "organization-keys": {"key_id": str(uuid4()), "version": 1},
    "person-keys": {"key_id": str(uuid4()), "person_id": str(uuid4()), "organization_key_version": 1},
    "person-keys/rewrap": {
        "from_version": 1,
        "to_version": 1,
        "person_keys": [{"key_id": str(uuid4()), "person_id": str(uuid4()), "wrapped": "AAAA"}],
    },
}

WRONG_VECTORS = {
    "not text": 5,
    "null": None,
    "a list": [0.1] * 64,
    "not base64": "not base64!",
    "url-safe base64": "-_" * 128,
    "spaced base64": " " + text(vector(1)),
    "empty": "",
    "cut in a float": base64.b64encode(bytes(255)).decode(),
    "too few": raw(*([1.0] * 63)),
    "too many": raw(*([1.0] * 2049)),
    "zero": raw(*([0.0] * 64)),
    "NaN": raw(*([1.0] * 63), float("nan")),
    "infinite": raw(*([1.0] * 63), float("inf")),
    "minus infinite": raw(*([1.0] * 63), float("-inf")),
    "too short to have a direction": raw(*([1e-45] * 64)),
    "too long to have a length": raw(*([3e38] * 64)),
    "text where a vector belongs": "a face",
    "beyond ascii": "\u0660" * 344,
}


@pytest.mark.parametrize("what", WRONG_VECTORS)
@pytest.mark.parametrize("path", ["identify", "verify", "seal"])
def test_a_wrong_vector_is_refused_by_name(w: World, path: str, what: str) -> None:
    body = json.dumps({**GOOD[path], "vector": WRONG_VECTORS[what]}).encode()
    status, problem = post(w, path, body, token=mint(claims(w.a)))
    assert (status, problem["code"]) == (422, "invalid_input")
    assert [error["field"] for error in problem["errors"]] == ["vector"]


def wrong_fields() -> list[tuple[str, str, Any]]:
    """Every field of every body with values that it must not take."""
    integers = (0, -1, 2**31, 10**30, 1.5, "1", True, None, [], {})
    ids = ("", "x", 5, None, [], str(uuid4()) + "0", "per_01h455vb4pex5vsknk084sn02q")
    names = ("", " ", "a b", "x" * 65, "line\n", "é", 5, None, [])
    cases = []
    for path, body in GOOD.items():
        for field in body:
            values: tuple[Any, ...] = ()
            if field in ("modality", "model"):
                values = names
            elif field in ("version", "organization_key_version", "from_version", "to_version"):
                values = integers
            elif field == "k":
                values = (0, -1, 51, 10**30, 1.5, "5", None)
            elif field.endswith("_id"):
                values = ids
            elif field == "person_keys":
                values = ([], None, {}, "x", body[field] * 1001)
            cases += [(path, field, value) for value in values]
    return cases


def test_every_wrong_field_is_refused_by_name(w: World) -> None:
    cases = wrong_fields()
    assert len(cases) > 100
    for path, field, value in cases:
        body = json.dumps({**GOOD[path], field: value}).encode()
        status, problem = post(w, path, body, token=mint(claims(w.a)))
        assert (status, problem["code"]) == (422, "invalid_input"), (path, field, str(value)[:50])
        assert problem["errors"][0]["field"].split(".")[0] == field


@pytest.mark.parametrize("path", GOOD)
def test_a_missing_and_an_unknown_field_are_refused_by_name(w: World, path: str) -> None:
    token = mint(claims(w.a))
    for field in set(GOOD[path]) - {"k"}:
        body = {name: value for name, value in GOOD[path].items() if name != field}
        status, problem = post(w, path, json.dumps(body).encode(), token=token)
        assert (status, problem["errors"][0]["field"], problem["errors"][0]["code"]) == (422, field, "missing")
    status, problem = post(w, path, json.dumps({**GOOD[path], "role": "ks_owner"}).encode(), token=token)
    assert (status, problem["errors"][0]["field"]) == (422, "role")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"5", b'"x"', b"\xff\xfe", b"NaN", b'{"k": NaN}', b"[" * 50_000, b'{"k": 1e999}'],
)
def test_a_body_that_is_no_object_is_refused(w: World, content: bytes) -> None:
    status, problem = post(w, "identify", content, token=mint(claims(w.a)))
    assert status in (400, 422), problem
    assert 400 <= status < 500


def test_a_refusal_does_not_repeat_the_input(w: World) -> None:
    marked = text(vector(99))[:-4] + "!!!!"
    body = json.dumps({**GOOD["identify"], "vector": marked}).encode()
    _, problem = post(w, "identify", body, token=mint(claims(w.a)))
    assert marked[:20] not in json.dumps(problem)


@pytest.mark.parametrize("length", ["1048577", "99999999999999999999", "many"])
def test_a_body_that_says_it_is_above_the_limit_is_not_even_read(w: World, length: str) -> None:
    assert first_line(w, [f"Content-Length: {length}\r\n\r\n".encode()]) in (b"HTTP/1.1 413", b"HTTP/1.1 400")


def test_a_body_above_the_limit_that_does_not_say_so_is_refused(w: World) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    assert first_line(w, [b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 17]) == b"HTTP/1.1 413"


def first_line(w: World, parts: list[bytes]) -> bytes:
    """What a server answers to a request of which it has not read everything."""
    address = urlsplit(w.matcher.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        connection.sendall(b"POST /v1/identify HTTP/1.1\r\nHost: m\r\n")
        for part in parts:
            connection.sendall(part)
        return connection.recv(4096)[:12]


def test_a_probe_of_another_length_is_refused(w: World) -> None:
    model = new_model()
    person = w.enroll(w.a, model, vector(1, 128))
    body: dict[str, Any] = {"modality": "face", "model": model, "vector": text(vector(1, 256))}
    for path, more in (
        ("/v1/identify", {}),
        ("/v1/verify", {"person_id": str(person.person_id)}),
        ("/v1/seal", {"person_id": str(uuid4()), "version": 1, "person_key": None}),
    ):
        refused = w.refused(w.a, path, **body, **more)
        assert (refused.status, refused.code, refused.field) == (422, "dimension_mismatch", "vector")


@pytest.mark.parametrize("dimensions", [64, 65, 2048])
def test_every_allowed_length_works(w: World, dimensions: int) -> None:
    model = new_model()
    person = w.enroll(w.a, model, vector(1, dimensions))
    answer = w.identify(w.a, model, vector(1, dimensions))
    assert answer["candidates"][0]["person_id"] == str(person.person_id)
    assert answer["candidates"][0]["score"] == pytest.approx(1.0, abs=1e-6)


def test_vectors_of_any_scale_are_compared_by_direction(w: World) -> None:
    model = new_model()
    person = w.enroll(w.a, model, vector(1) * np.float32(1e-30))
    assert w.found(w.a, model, vector(1) * np.float32(1e30)) == [person.person_id]
