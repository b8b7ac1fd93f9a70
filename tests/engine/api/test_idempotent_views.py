"""`@idempotent` over HTTP."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from tests.engine.api.test_problems import problem_of

pytestmark = pytest.mark.usefixtures("db")


def test_a_repeat_is_marked_and_identical(signed_in: APIClient) -> None:
    first = signed_in.post("/v1/create", {"amount_minor": 5}, HTTP_IDEMPOTENCY_KEY="k")
    again = signed_in.post("/v1/create", {"amount_minor": 5}, HTTP_IDEMPOTENCY_KEY="k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert again["Location"] == first["Location"] == "/v1/t/x"
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    assert again["Request-Id"] != first["Request-Id"]


def test_another_body_is_422(signed_in: APIClient) -> None:
    signed_in.post("/v1/create", {"amount_minor": 5}, HTTP_IDEMPOTENCY_KEY="k")
    response = signed_in.post("/v1/create", {"amount_minor": 6}, HTTP_IDEMPOTENCY_KEY="k")
    problem_of(response, 422, "idempotency_key_reused")


def test_another_caller_gets_an_answer_of_its_own(signed_in: APIClient) -> None:
    first = signed_in.post("/v1/create", {}, HTTP_IDEMPOTENCY_KEY="k")
    signed_in.credentials(HTTP_AUTHORIZATION="Bearer other")
    second = signed_in.post("/v1/create", {}, HTTP_IDEMPOTENCY_KEY="k")
    assert second.status_code == 201
    assert first.content != second.content


def test_a_validation_error_does_not_use_the_key_up(signed_in: APIClient) -> None:
    refused = signed_in.post("/v1/create", {"amount_minor": -1}, HTTP_IDEMPOTENCY_KEY="k")
    problem_of(refused, 400, "invalid_input")
    assert signed_in.post("/v1/create", {"amount_minor": 1}, HTTP_IDEMPOTENCY_KEY="k").status_code == 201


def test_a_required_key_is_required(signed_in: APIClient) -> None:
    body = problem_of(signed_in.post("/v1/create", {}), 400, "idempotency_key_required")
    assert body["errors"][0]["field"] == "Idempotency-Key"
    problem_of(signed_in.post("/v1/create", {}, HTTP_IDEMPOTENCY_KEY="x" * 256), 400, "idempotency_key_invalid")
