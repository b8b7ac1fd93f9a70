"""How the matcher's client meets a matcher that is away, not ready, slow, or refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine import service_tokens
from engine.matcher_client import MatcherClient, MatcherRefused, MatcherUnavailable
from engine.service_tokens import OrganizationClaims

KEY = Ed25519PrivateKey.generate()
ACME = OrganizationClaims(id=UUID(int=1), schema_name="ks_o_1", role_name="ks_o_1")


class Matcher(ThreadingHTTPServer):
    """Answers what it is told to, in order; the last answer for ever."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, bytes]] = []
        self.requests: list[tuple[str, str, Any]] = []
        self.silent = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Matcher

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, self.headers["Authorization"], body))
        if not self.server.answers:
            self.server.silent.wait(10)
            return
        status, content = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def matcher() -> Iterator[Matcher]:
    server = Matcher()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.silent.set()
        server.shutdown()
        server.server_close()
        thread.join()


def call(url: str, pauses: list[float] | None = None, **options: Any) -> dict[str, Any]:
    sleep = (pauses if pauses is not None else []).append
    client = MatcherClient(url, private_key=KEY, sleep=sleep, **options)
    try:
        return client.call("/v1/evict", {"person_id": "p"}, organization=ACME)
    finally:
        client.close()


def test_a_call_carries_a_token_for_its_organization(matcher: Matcher) -> None:
    matcher.answers = [(200, b'{"removed": 1}')]
    assert call(matcher.url) == {"removed": 1}
    ((path, authorization, body),) = matcher.requests
    assert (path, body) == ("/v1/evict", {"person_id": "p"})
    token = authorization.removeprefix("Bearer ")
    assert service_tokens.verify(token, public_keys=[KEY.public_key()], audience="matcher") == ACME


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_matcher_that_is_not_ready_is_asked_again(matcher: Matcher, status: int) -> None:
    matcher.answers = [(status, b""), (status, b"{}"), (200, b'{"removed": 0}')]
    pauses: list[float] = []
    assert call(matcher.url, pauses) == {"removed": 0}
    assert pauses == [0.1, 0.3]


def test_a_matcher_that_stays_away_is_unavailable_after_about_a_second(matcher: Matcher) -> None:
    matcher.answers = [(503, b"{}")]
    pauses: list[float] = []
    with pytest.raises(MatcherUnavailable):
        call(matcher.url, pauses)
    assert len(matcher.requests) == 4
    assert sum(pauses) == pytest.approx(1.0)
    with pytest.raises(MatcherUnavailable):
        call("http://127.0.0.1:9")


def test_a_matcher_that_is_slow_is_not_asked_twice(matcher: Matcher) -> None:
    with pytest.raises(MatcherUnavailable):
        call(matcher.url, read_seconds=0.2)
    assert len(matcher.requests) == 1


def test_a_refusal_is_told_as_it_was_given(matcher: Matcher) -> None:
    problem = {
        "code": "dimension_mismatch",
        "detail": "128, not 64",
        "errors": [{"field": "vector", "code": "dimension_mismatch"}],
    }
    matcher.answers = [(422, json.dumps(problem).encode())]
    with pytest.raises(MatcherRefused) as refused:
        call(matcher.url)
    assert (refused.value.status, refused.value.code, refused.value.field) == (422, "dimension_mismatch", "vector")
    assert refused.value.detail == "128, not 64"
    assert len(matcher.requests) == 1


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'"x"', b"{}"])
def test_an_answer_that_is_no_problem_document_is_refused_all_the_same(matcher: Matcher, content: bytes) -> None:
    matcher.answers = [(500, content)]
    with pytest.raises(MatcherRefused) as refused:
        call(matcher.url)
    assert (refused.value.status, refused.value.code, refused.value.field) == (500, "unknown", None)


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]"])
def test_a_success_without_an_answer_is_refused(matcher: Matcher, content: bytes) -> None:
    matcher.answers = [(200, content)]
    with pytest.raises(MatcherRefused):
        call(matcher.url)
