"""Errors that a caller sees: problem+json (RFC 9457) with a stable code. No input is ever echoed."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

logger = logging.getLogger("matcher")

_TYPE = "https://docs.keystead.dev/problems/"
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}


class Problem(Exception):
    """A call that cannot be answered as asked."""

    def __init__(self, status: int, code: str, detail: str, *, field: str | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field


def response(status: int, code: str, detail: str, *, errors: list[dict[str, str]] | None = None) -> JSONResponse:
    """A problem document."""
    content: dict[str, Any] = {
        "type": _TYPE + code,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    if errors:
        content["errors"] = errors
    return JSONResponse(content, status_code=status, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, problem: Problem) -> JSONResponse:
        errors = None
        if problem.field:
            errors = [{"field": problem.field, "code": problem.code, "detail": problem.detail}]
        return response(problem.status, problem.code, problem.detail, errors=errors)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        errors = [
            {
                "field": ".".join(str(part) for part in fault["loc"][1:]) or "body",
                "code": "missing" if fault["type"] == "missing" else "invalid",
                "detail": fault["msg"].removeprefix("Value error, "),
            }
            for fault in error.errors()
        ]
        return response(422, "invalid_input", "The request has invalid fields.", errors=errors)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        return response(error.status_code, _CODES.get(error.status_code, "error"), str(error.detail))

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        # Neither the message nor the traceback's values are logged: they may hold a vector.
        logger.error("unexpected %s at %s", type(error).__name__, request.url.path)
        return response(500, "internal_error", "The matcher failed; its log says where.")
