"""Errors as RFC 9457 problem documents, and nothing else: no page, no traceback, no SQL."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.signals import got_request_exception
from django.db import DataError, Error, IntegrityError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions

from engine.api.requests import current_request_id
from engine.errors import DomainError

CONTENT_TYPE = "application/problem+json"
TYPE_BASE = "https://docs.keystead.dev/problems/"

log = structlog.get_logger("keystead.api")

_TITLES = {
    400: ("bad_request", "The request is malformed"),
    401: ("not_authenticated", "Authentication is needed"),
    403: ("permission_denied", "You may not do this"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "This resource does not know that method"),
    406: ("not_acceptable", "No representation fits the Accept header"),
    409: ("conflict", "The request conflicts with the present state"),
    411: ("length_required", "The request needs a Content-Length"),
    412: ("precondition_failed", "The object has changed in the meantime"),
    413: ("body_too_large", "The request body is too large"),
    422: ("unprocessable", "The request is understood and cannot be carried out"),
    415: ("unsupported_media_type", "The request body has to be application/json"),
    428: ("precondition_required", "The request needs an If-Match header"),
    429: ("rate_limited", "Too many requests"),
    500: ("internal_error", "Something went wrong on our side"),
    503: ("unavailable", "The service cannot answer at the moment"),
}

# DRF's validation codes that say the same in words of our own documents.
_FIELD_CODES = {
    "null": "required",
    "blank": "required",
    "not_a_dict": "invalid_type",
    "not_a_list": "invalid_type",
}

# PostgreSQL gave up for a reason that passes: lock_not_available, query_canceled,
# serialization_failure, deadlock_detected, admin_shutdown and its kin.
_TRANSIENT = {"55P03", "57014", "40001", "40P01", "57P01", "57P02", "57P03"}
_UNIQUE = {"23505", "23P01"}


def problem(
    *,
    status: int,
    code: str = "",
    title: str = "",
    detail: str = "",
    errors: list[dict[str, str]] | None = None,
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """A problem document as a response; what is left out comes from the status."""
    default_code, default_title = default_of(status)
    code = code or default_code
    body: dict[str, Any] = {
        **(extra or {}),
        "type": TYPE_BASE + code,
        "title": title or default_title,
        "status": status,
        "code": code,
        "request_id": current_request_id(),
    }
    if detail:
        body["detail"] = detail
    if errors:
        body["errors"] = errors
    response = HttpResponse(json.dumps(body, default=str), status=status, content_type=CONTENT_TYPE, headers=headers)
    response["Cache-Control"] = "no-store"
    # Django would log the path, which carries ids; our own record of the request carries the route.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def default_of(status: int) -> tuple[str, str]:
    """The code and title of a problem that only its status is known of."""
    return _TITLES.get(status, ("error", "The request failed"))


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """Turn whatever a view raised into a problem document (DRF's EXCEPTION_HANDLER)."""
    response = _known(exc)
    if response is not None:
        return response
    # The signal is what error reporting and Django's test client listen to.
    request = context.get("request")
    django_request = getattr(request, "_request", request)
    got_request_exception.send(sender=exception_handler, request=django_request)
    if isinstance(exc, Error):
        log.error("api.failed", **_database_facts(exc))
    else:
        log.error("api.failed", exc_info=exc)
    return problem(status=500)


def _known(exc: Exception) -> HttpResponse | None:
    for kind, build in _BUILDERS:
        if isinstance(exc, kind):
            return build(exc)
    return None


def _domain_problem(exc: DomainError) -> HttpResponse:
    errors = None
    if exc.field is not None:
        errors = [{"field": exc.field, "code": exc.code, "detail": exc.detail or exc.title}]
    extra = dict(exc.extra)
    headers = {}
    if "retry_after" in extra:
        headers["Retry-After"] = str(extra["retry_after"])
    return problem(
        status=exc.status,
        code=exc.code,
        title=exc.title,
        detail=exc.detail,
        errors=errors,
        extra=extra,
        headers=headers,
    )


def _validation_problem(exc: exceptions.ValidationError) -> HttpResponse:
    return problem(
        status=400,
        code="invalid_input",
        title="The request has invalid fields",
        errors=list(_flatten(exc.detail, "")),
    )


def _framework_problem(exc: exceptions.APIException) -> HttpResponse:
    headers = {}
    auth_header = getattr(exc, "auth_header", None)
    if auth_header:
        headers["WWW-Authenticate"] = auth_header
    wait = getattr(exc, "wait", None)
    if wait is not None:
        headers["Retry-After"] = str(max(1, int(wait)))
    code, detail = "", ""
    if isinstance(exc.detail, exceptions.ErrorDetail):
        detail = str(exc.detail)
        if exc.detail.code not in (type(exc).default_code, None):
            code = exc.detail.code
    if exc.status_code == 401 and isinstance(exc, exceptions.AuthenticationFailed) and not code:
        code = "authentication_failed"
    return problem(status=exc.status_code, code=code, detail=detail, headers=headers)


def _database_facts(exc: Error) -> dict[str, Any]:
    """What may be logged of a database error: its message quotes the values of rows."""
    diagnostics = getattr(exc.__cause__, "diag", None)
    return {
        "error": type(exc).__name__,
        "sqlstate": getattr(exc.__cause__, "sqlstate", None) or "",
        "constraint": getattr(diagnostics, "constraint_name", None) or "",
        "frames": "".join(traceback.format_tb(exc.__traceback__)),
    }


def _database_problem(exc: Error) -> HttpResponse | None:
    state = getattr(exc.__cause__, "sqlstate", None) or ""
    if isinstance(exc, DataError):
        # Validation should have caught it; the caller sent it all the same.
        log.warning("api.data_error", **_database_facts(exc))
        return problem(status=400, code="out_of_range", title="A value is out of range")
    if isinstance(exc, IntegrityError) and state in _UNIQUE:
        log.warning("api.unique_violation", **_database_facts(exc))
        return problem(status=409)
    if state in _TRANSIENT or (isinstance(exc, OperationalError) and not state):
        log.warning("api.database_busy", **_database_facts(exc))
        return problem(status=503, headers={"Retry-After": "1"})
    return None


def _flatten(detail: Any, path: str) -> Iterator[dict[str, str]]:
    if isinstance(detail, Mapping):
        for key, value in detail.items():
            # Errors about the object as a whole belong to the object's own path.
            here = path if key == "non_field_errors" else _join(path, str(key))
            yield from _flatten(value, here)
    elif isinstance(detail, (list, tuple)):
        for index, value in enumerate(detail):
            nested = isinstance(value, (Mapping, list, tuple))
            yield from _flatten(value, _join(path, str(index)) if nested else path)
    else:
        code = getattr(detail, "code", None) or "invalid"
        yield {"field": path, "code": _FIELD_CODES.get(code, code), "detail": str(detail)}


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


# The first that fits is taken: subclasses stand before their bases.
_BUILDERS: tuple[tuple[type[Exception], Callable[[Any], HttpResponse | None]], ...] = (
    (DomainError, _domain_problem),
    (exceptions.ValidationError, _validation_problem),
    (exceptions.APIException, _framework_problem),
    (Http404, lambda exc: problem(status=404)),
    (PermissionDenied, lambda exc: problem(status=403)),
    (RequestDataTooBig, lambda exc: problem(status=413)),
    (SuspiciousOperation, lambda exc: problem(status=400)),
    (BadRequest, lambda exc: problem(status=400)),
    (Error, _database_problem),
)


class ProblemMiddleware:
    """Replaces the HTML error pages of Django by problem documents under the API's paths.

    Views of the API answer problems themselves; this is for what goes wrong around them: an unknown
    path, a refused host, a middleware that fails. A page that says itself what is wrong has `is_for_people`.
    """

    prefixes = ("/v1/", "/v1", "/oauth/", "/.well-known/")

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response: HttpResponse = self.get_response(request)
        is_page = response.headers.get("Content-Type", "").startswith("text/html")
        if response.status_code < 400 or not is_page or not request.path.startswith(self.prefixes):
            return response
        if getattr(response, "is_for_people", False):
            return response
        return problem(status=response.status_code)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """``handler400`` of a URL configuration."""
    return problem(status=400)


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """``handler403`` of a URL configuration."""
    return problem(status=403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """``handler404`` of a URL configuration."""
    return problem(status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """``handler500`` of a URL configuration."""
    return problem(status=500)
