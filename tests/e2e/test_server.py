"""The API as it is served: granian over a socket, with what only a socket can send."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.harness import environment
from tests.harness.live import live_database
from tests.harness.server import serving

pytestmark = pytest.mark.processes
HOST = f"org-a.{environment.BASE_DOMAIN}"


@pytest.fixture(scope="module")
def port(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: Any) -> Iterator[int]:
    log = tmp_path_factory.mktemp("server") / "log"
    with django_db_blocker.unblock(), live_database() as database, serving(database, log=log) as number:
        yield number


def exchange(port: int, parts: list[bytes]) -> bytes:
    """Send the parts and read until the answer is whole, or the server hangs up."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
        for part in parts:
            connection.sendall(part)
        answer = b""
        while True:
            head, separator, body = answer.partition(b"\r\n\r\n")
            lengths = [
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
            ]
            if separator and lengths and len(body) >= lengths[0]:
                return answer
            received = connection.recv(65536)
            if not received:
                return answer
            answer += received


def status_and_problem(answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, answer[:500]
    return int(head.split(b" ")[1]), json.loads(body)


def request(headers: bytes, body: bytes = b"", *, host: str = HOST, path: str = "/v1/people") -> list[bytes]:
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n".encode()
    return [head + headers + b"\r\n\r\n", body]


def test_ten_gigabytes_are_refused_before_they_are_sent(port: int) -> None:
    status, problem = status_and_problem(exchange(port, request(b"Content-Length: 10000000000")))
    assert (status, problem["code"]) == (413, "body_too_large")


def test_a_body_of_unknown_length_is_refused(port: int) -> None:
    chunked = request(b"Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n")
    status, problem = status_and_problem(exchange(port, chunked))
    assert (status, problem["code"]) == (411, "length_required")


@pytest.mark.parametrize("host", ["nobody.keystead.test", "org-a.keystead.test.evil.example", "127.0.0.1", "org-a"])
def test_an_unknown_host(port: int, host: str) -> None:
    status, problem = status_and_problem(exchange(port, request(b"Content-Length: 2", b"{}", host=host)))
    assert (status, problem["code"]) == (404, "unknown_host")


@pytest.mark.parametrize("path", ["/v1/people", "/v1/nothing", "/nothing", "/v1/people/%00", "/v1//people"])
def test_whatever_is_asked_is_answered_by_a_problem(port: int, path: str) -> None:
    status, problem = status_and_problem(exchange(port, request(b"Content-Length: 2", b"{}", path=path)))
    assert status in {401, 404}
    assert problem["request_id"].startswith("req_")


@pytest.mark.parametrize(
    "parts",
    [
        [b"nonsense\r\n\r\n"],
        [b"GET / HTTP/9.9\r\n\r\n"],
        [b"POST /v1/people HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\nContent-Length: -5\r\n\r\n"],
        [b"POST /v1/people HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"],
        [b"GET /v1/people HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
    ],
)
def test_what_is_no_http_does_not_stop_the_server(port: int, parts: list[bytes]) -> None:
    try:
        answer = exchange(port, parts)
    except OSError:
        answer = b""
    assert not answer.startswith(b"HTTP/1.1 5")
    assert status_and_problem(exchange(port, request(b"Content-Length: 2", b"{}")))[0] == 401
