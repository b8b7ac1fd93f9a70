"""What the SDK does when the network, or the platform, does not: retries that act once, and errors that say enough.

The platform's own behaviour is shown by the demo and the chaos suites, which use this SDK throughout;
here a small HTTP server answers what a bad day would.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import standardwebhooks

import keystead
from keystead._hosts import reachable
from keystead._transport import Transport

PERSON = {
    "id": "per_01h455vb4pex5vsknk084sn02q",
    "status": "active",
    "display_name": "Ada",
    "external_reference": None,
    "created_at": "2026-11-22T09:00:00Z",
    "something_new": True,
}


@dataclass
class Answer:
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass
class BadDay:
    """Answers in turn; keeps what it was asked."""

    answers: list[Answer]
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def bad_day(*answers: Answer) -> Iterator[BadDay]:
    day = BadDay(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            day.asked.append({"method": self.command, "path": self.path, "headers": headers, "body": body})
            answer = day.answers.pop(0)
            if answer.cut:
                self.connection.close()
                return
            raw = json.dumps(answer.body).encode() if answer.body is not None else b""
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(raw)), "Request-Id": "req_1", **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    day.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield day
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def client(day: BadDay, **options: Any) -> keystead.Keystead:
    made = keystead.Keystead(day.url, token="kst_x", **options)
    made._transport._sleep = lambda _: None
    return made


def problem(code: str, **more: Any) -> dict[str, Any]:
    return {"type": f"https://docs.keystead.dev/problems/{code}", "title": "No", "code": code, **more}


def test_a_lost_answer_is_asked_for_again_under_the_same_key() -> None:
    with bad_day(Answer(0, cut=True), Answer(503, problem("unavailable")), Answer(201, PERSON)) as day:
        person = client(day).people.create(display_name="Ada")
    assert person.id == PERSON["id"]
    assert person.created_at == datetime(2026, 11, 22, 9, tzinfo=UTC)
    assert person.raw["something_new"] is True
    keys = {one["headers"]["idempotency-key"] for one in day.asked}
    assert len(day.asked) == 3
    assert len(keys) == 1


def test_a_request_that_is_still_worked_on_is_asked_for_again() -> None:
    with bad_day(Answer(409, problem("idempotency_in_progress")), Answer(201, PERSON)) as day:
        assert client(day).people.create(display_name="Ada").status == "active"


def test_a_callers_own_key_is_sent() -> None:
    with bad_day(Answer(201, PERSON)) as day:
        client(day).people.create(display_name="Ada", idempotency_key="mine")
    assert day.asked[0]["headers"]["idempotency-key"] == "mine"


def test_silence_to_the_end_says_that_the_outcome_is_not_known() -> None:
    with bad_day(*[Answer(0, cut=True)] * 3) as day, pytest.raises(keystead.ConnectionFailed):
        client(day, retries=2).people.create()
    assert len(day.asked) == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, keystead.InvalidRequestError),
        (401, keystead.AuthenticationError),
        (403, keystead.PermissionDeniedError),
        (404, keystead.NotFoundError),
        (409, keystead.ConflictError),
        (422, keystead.InvalidRequestError),
        (500, keystead.ServerError),
    ],
)
def test_refusals_carry_code_status_request_id_and_fields(status: int, kind: type[keystead.APIError]) -> None:
    body = problem("why", detail="Because.", errors=[{"field": "a.b", "code": "bad", "detail": "No."}])
    with bad_day(Answer(status, body)) as day, pytest.raises(kind) as refused:
        client(day).people.get("per_x")
    error = refused.value
    assert (error.status, error.code, error.request_id) == (status, "why", "req_1")
    assert error.errors == (keystead.FieldError("a.b", "bad", "No."),)
    assert "a.b: No." in str(error)
    assert len(day.asked) == 1


def test_an_answer_that_is_not_json_is_an_error_too() -> None:
    with bad_day(Answer(500, "just text")) as day, pytest.raises(keystead.ServerError) as refused:
        client(day).people.get("per_x")
    assert refused.value.code == "unknown"


def test_an_app_fetches_a_token_once_and_renews_one_that_was_refused() -> None:
    token = {"access_token": "t1", "expires_in": 600}
    with bad_day(
        Answer(200, token),
        Answer(200, PERSON),
        Answer(401, problem("invalid_token")),
        Answer(200, {**token, "access_token": "t2"}),
        Answer(200, PERSON),
    ) as day:
        app = keystead.Keystead(day.url, client_id="app_1", client_secret="s")
        app.people.get("per_1")
        app.people.get("per_1")
        assert app.access_token() == "t2"
    paths = [one["path"] for one in day.asked]
    assert paths == ["/oauth/token", "/v1/people/per_1", "/v1/people/per_1", "/oauth/token", "/v1/people/per_1"]
    assert day.asked[0]["body"] == "grant_type=client_credentials"


def test_a_token_endpoint_that_refuses_says_so_in_its_own_words() -> None:
    refusal = {"error": "invalid_client", "error_description": "Who?"}
    with bad_day(Answer(401, refusal)) as day, pytest.raises(keystead.AuthenticationError, match="invalid_client"):
        keystead.Keystead(day.url, client_id="app_1", client_secret="s").access_token()


def test_lists_fetch_their_next_page() -> None:
    with bad_day(
        Answer(200, {"data": [PERSON], "next_cursor": "c"}), Answer(200, {"data": [PERSON], "next_cursor": None})
    ) as day:
        assert len(list(client(day).people.list(external_reference="x"))) == 2
    assert day.asked[1]["path"] == "/v1/people?external_reference=x&cursor=c"


@pytest.mark.parametrize(
    "given",
    [{}, {"token": "t", "client_id": "a"}, {"client_id": "a"}, {"token": "t", "client_id": "a", "client_secret": "s"}],
)
def test_credentials_are_one_kind_or_the_other(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="either"):
        keystead.Keystead("http://acme.localhost", **given)


def test_localhost_names_lead_to_this_machine_under_their_own_name() -> None:
    assert reachable("http://acme.localhost:8000/x") == ("http://127.0.0.1:8000/x", "acme.localhost:8000")
    assert reachable("https://acme.example") == ("https://acme.example", "acme.example")
    with bad_day(Answer(200, PERSON)) as day:
        port = day.url.rpartition(":")[2]
        keystead.Keystead(f"http://acme.localhost:{port}", token="t").people.get("per_1")
    assert day.asked[0]["headers"]["host"] == f"acme.localhost:{port}"


def test_webhooks_are_verified_as_the_reference_library_signs_them() -> None:
    secret, body, now = "whsec_" + "c2VjcmV0c2VjcmV0c2VjcmV0", b'{"type": "payment.captured"}', datetime.now(UTC)
    signed = {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": standardwebhooks.Webhook(secret).sign("evt_1", now, body.decode()),
    }
    assert keystead.Webhook(secret).verify(body, signed)["type"] == "payment.captured"
    for wrong in (body + b" ", b"{}"):
        with pytest.raises(keystead.SignatureError):
            keystead.Webhook(secret).verify(wrong, signed)
    with pytest.raises(keystead.SignatureError):
        keystead.Webhook(secret).verify(body, {**signed, "Webhook-Timestamp": "1"})


def test_the_public_names_are_those_of_all() -> None:
    public = {name for name in dir(keystead) if not name.startswith("_")}
    assert public == set(keystead.__all__)


def test_a_key_is_written_once_and_for_its_owner_only(tmp_path: Any) -> None:
    path = tmp_path / "device.pem"
    key = keystead.DeviceKey.generate()
    key.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keystead.DeviceKey.load(path).public_jwk == key.public_jwk
    with pytest.raises(FileExistsError):
        key.save(path)


def test_the_transport_gives_up_on_nothing_that_it_was_not_told_to() -> None:
    with bad_day(Answer(429, problem("rate_limited"), {"Retry-After": "0"}), Answer(204)) as day:
        from keystead._auth import NoAuth

        transport = Transport(day.url, auth=NoAuth(), sleep=lambda _: None)
        assert transport.request("DELETE", "/v1/sessions/current") == {}
