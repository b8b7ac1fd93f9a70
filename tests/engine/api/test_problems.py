"""Whatever goes wrong answers a problem document, with an id and without a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from engine import ids

pytestmark = pytest.mark.usefixtures("db")


def problem_of(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response["Content-Type"] == "application/problem+json", response.content
    body: dict[str, Any] = json.loads(response.content)
    assert (response.status_code, body["code"]) == (status, code), body
    assert body["status"] == status
    assert body["type"].endswith(f"/{code}")
    assert body["title"]
    assert body["request_id"] == response["Request-Id"]
    ids.decode("req", body["request_id"])
    assert b"secret" not in response.content
    return body


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("missing", 404, "not_found"),
        ("refused", 403, "permission_denied"),
        ("suspicious", 400, "bad_request"),
        ("bad", 400, "bad_request"),
        ("bug", 500, "internal_error"),
        ("data", 400, "out_of_range"),
        ("range", 400, "out_of_range"),
        ("busy", 503, "unavailable"),
        ("sql", 500, "internal_error"),
        ("unique", 409, "conflict"),
    ],
)
def test_an_exception_becomes_a_problem(api: APIClient, kind: str, status: int, code: str) -> None:
    problem_of(api.get(f"/v1/failing/{kind}"), status, code)


def test_a_domain_error_keeps_its_words(api: APIClient) -> None:
    response = api.get("/v1/failing/domain")
    body = problem_of(response, 422, "teapot")
    assert body["title"] == "Short and stout"
    assert body["detail"] == "No coffee here."
    assert body["pot"] == 3
    assert body["errors"] == [{"field": "drink", "code": "teapot", "detail": "No coffee here."}]
    assert response["Retry-After"] == "7"


def test_a_path_that_nobody_answers(api: APIClient) -> None:
    problem_of(api.get("/v1/nothing-here"), 404, "not_found")


@pytest.mark.parametrize("method", ["put", "delete", "options", "trace", "patch"])
def test_a_method_that_nobody_answers(signed_in: APIClient, method: str) -> None:
    response = signed_in.generic(method.upper(), "/v1/mine")
    problem_of(response, 405, "method_not_allowed")
    assert "GET" in response["Allow"]


def test_head_is_get_without_a_body(signed_in: APIClient) -> None:
    assert signed_in.head("/v1/mine").status_code == 200


def test_the_request_id_is_ours_whatever_the_caller_sends(signed_in: APIClient) -> None:
    first = signed_in.get("/v1/mine", HTTP_REQUEST_ID="req_mine\r\nX: y")["Request-Id"]
    second = signed_in.get("/v1/mine", HTTP_REQUEST_ID="mine")["Request-Id"]
    assert ids.decode("req", first) != ids.decode("req", second)


@pytest.mark.parametrize("kind", ["unique", "data", "sql", "missing"])
def test_the_log_quotes_no_row_and_no_path(api: APIClient, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    with caplog.at_level("INFO"):
        api.get(f"/v1/failing/{kind}?secret=1")
    assert [record for record in caplog.records if record.name == "django.request"] == []
    written = repr([record.msg for record in caplog.records])
    assert "api.request" in written
    assert "v1/failing/<str:kind>" in written
    assert "secret=1" not in written
    # Of a statement only the source line that sent it, never what PostgreSQL quotes of the values.
    for quoted in ("already exists", "invalid input syntax", "LINE 1", "DETAIL"):
        assert quoted not in written
