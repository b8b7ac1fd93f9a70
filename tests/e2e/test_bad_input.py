"""Every operation of both documents, fed with what no caller should send.

Nothing may fail: each answer is below 500, and each error is a problem document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from engine import ids
from engine.api import access, openapi
from engine.api.compatibility import operations, resolved
from engine.principals import Principal
from engine.tenancy.context import OrganizationContext
from tests.e2e.examples import ID_SUFFIX, NEVER, example, odd_for
from tests.e2e.targets import OAUTH_FORMS
from tests.harness import environment

HOSTS = {openapi.ORGANIZATION: "org-a", openapi.PLATFORM: "platform"}
BROKEN = [b"{", b"nonsense", b"\xff\xfe", b"[" * 100_000, b'{"a":1,"a":2}', b'{"a":' + b"9" * 5000 + b"}"]
NOT_AN_OBJECT = [b"[]", b"1", b'"text"', b"null", b"[[]]"]
# The matcher is not there in these tests: a request that is valid after all may say so.
UNAVAILABLE = 503


@dataclass(frozen=True)
class Case:
    document: str
    method: str
    path: str
    operation: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def body_schema(self) -> dict[str, Any] | None:
        content = self.operation.get("requestBody", {}).get("content", {})
        return content["application/json"]["schema"] if "application/json" in content else None

    def url(self) -> str:
        path = self.path
        for parameter in self.operation.get("parameters", []):
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", _path_value(parameter["schema"]))
        return path


def _path_value(schema: dict[str, Any]) -> str:
    prefix, found, _ = schema.get("pattern", "").removeprefix("^").partition("_[")
    return f"{prefix}_{ID_SUFFIX}" if found else "1"


CASES = [
    Case(name, method, path, operation)
    for name in HOSTS
    for (method, path), operation in sorted(operations(openapi.document(name)).items())
]
WITH_BODY = [case for case in CASES if case.body_schema is not None]


@dataclass(frozen=True)
class Anyone:
    """The user of a request that comes from a principal who may do everything."""

    principal: Principal
    is_authenticated: bool = True


@dataclass(frozen=True)
class Allowed:
    allowed: bool = True
    reason: str = ""


@pytest.fixture
def everything_allowed(org_a: OrganizationContext) -> Iterator[None]:
    previous = access.set_checker(lambda **_: Allowed())
    of_operators = access.set_operator_checker(lambda **_: True)
    yield
    access.set_checker(previous)
    access.set_operator_checker(of_operators)


@cache
def _client(host: str) -> Any:
    return APIClient(HTTP_HOST=f"{host}.{environment.BASE_DOMAIN}", raise_request_exception=False)


def send(case: Case, path: str, body: bytes = b"", **extra: Any) -> Any:
    """One request in a savepoint, so that one that breaks the transaction breaks no other."""
    client = _client(HOSTS[case.document])
    kind: Any = "operator" if case.document == openapi.PLATFORM else "member"
    client.force_authenticate(Anyone(Principal(kind, ids.uuid7())))
    extra.setdefault("HTTP_IDEMPOTENCY_KEY", str(ids.uuid7()))
    savepoint = connection.savepoint()
    try:
        return client.generic(case.method, path, body, content_type="application/json", **extra)
    finally:
        connection.needs_rollback = False
        connection.savepoint_rollback(savepoint)


def check(response: Any, what: str, *, refused: bool = False) -> None:
    if response.status_code >= 400 and not _is_oauth_error(response):
        assert response["Content-Type"] == "application/problem+json", (what, response.content)
        problem = json.loads(response.content)
        assert problem["request_id"] == response["Request-Id"], what
        if not refused:
            assert response.status_code < 500 or response.status_code == UNAVAILABLE, (what, problem)
    if refused:
        assert 400 <= response.status_code < 500, (what, response.status_code, response.content)


def _is_oauth_error(response: Any) -> bool:
    return response.request["PATH_INFO"] in OAUTH_FORMS and "error" in response.json()


pytestmark = pytest.mark.usefixtures("db", "everything_allowed")


@pytest.mark.parametrize("case", WITH_BODY, ids=str)
def test_a_body_that_is_broken_as_a_whole(case: Case) -> None:
    for body in [*BROKEN, *NOT_AN_OBJECT]:
        check(send(case, case.url(), body), repr(body[:20]), refused=True)
    check(send(case, case.url(), b"x" * 2_000_000), "2 MB", refused=True)
    check(send(case, case.url(), b"a=b", CONTENT_TYPE="text/plain"), "text/plain", refused=True)


@pytest.mark.parametrize("case", WITH_BODY, ids=str)
def test_every_field_with_every_kind_of_nonsense(case: Case) -> None:
    document = openapi.document(case.document)
    assert case.body_schema is not None
    schema = resolved(document, case.body_schema)
    whole = {name: json.dumps(example(document, part)).encode() for name, part in schema.get("properties", {}).items()}
    for number, field in enumerate(whole):
        # The parser refuses these before it knows the field: one field of each body is enough.
        never = {} if number else NEVER
        for what, value in {**never, **odd_for(schema["properties"][field])}.items():
            parts = {**whole, field: value}
            body = b"{" + b",".join(json.dumps(k).encode() + b":" + v for k, v in parts.items()) + b"}"
            check(send(case, case.url(), body), f"{field}: {what}", refused=what in NEVER)
    unknown = {**{k: json.loads(v) for k, v in whole.items()}, "no_such_field": 1}
    check(send(case, case.url(), json.dumps(unknown).encode()), "unknown field", refused=True)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_ids_parameters_and_headers(case: Case) -> None:
    body = b"{}" if case.body_schema is not None else b""
    if "{" in case.path:
        for text in ("x", "%00", "..", "é", "per_" + "9" * 26, "1", "a" * 3000, "%F0%28"):
            path = case.path
            for parameter in case.operation["parameters"]:
                path = path.replace(f"{{{parameter['name']}}}", text)
            check(send(case, path, body), f"path {text}", refused=True)
    for query in ("?x=1", "?limit=x", "?cursor=%00", "?limit=0", "?cursor=a&cursor=b", "?" + "a" * 4000):
        check(send(case, case.url() + query, body), query, refused=case.method == "GET")
    for parameter in case.operation.get("parameters", []):
        if parameter["in"] == "query":
            for text in ("%00", "", "-1", "x" * 5000, "99999999999999999999", "%ff", "[]", "2030-13-45T99:00:00Z"):
                what = f"{parameter['name']}={text}"
                check(send(case, f"{case.url()}?{parameter['name']}={text}", body), what)
    for key in ("", " ", "x" * 300, "\x7f", "ü"):
        check(send(case, case.url(), body, HTTP_IDEMPOTENCY_KEY=key), f"key {key[:5]!r}")
    check(send(case, case.url(), body, HTTP_IF_MATCH="nonsense"), "If-Match")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_methods_that_the_document_does_not_name(case: Case) -> None:
    known = {method for (method, path) in operations(openapi.document(case.document)) if path == case.path}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - known:
        other = Case(case.document, method, case.path, case.operation)
        response = send(other, case.url())
        check(response, method, refused=True)
        assert response.status_code == 405, method
        assert set(response["Allow"].replace(" ", "").split(",")) >= known


def test_the_sweep_would_notice_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for case in WITH_BODY if case.document == openapi.PLATFORM and "{" not in case.path)
    monkeypatch.setattr("engine.api.parsing.decode", lambda body: {"a": 1 / 0})
    response = send(case, case.url(), b"{}")
    assert response.status_code == 500
    with pytest.raises(AssertionError):
        check(response, "planted")
