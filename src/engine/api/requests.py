"""One id for each request, in its answer, its log records and its problem documents; and where it came from."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextvars import ContextVar

import structlog
from django.http import HttpRequest, HttpResponse

from engine import ids
from engine.api.throttles import client_address

HEADER = "Request-Id"
_FOREIGN = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}\Z")

_current: ContextVar[str] = ContextVar("keystead_request_id", default="")
_address: ContextVar[str] = ContextVar("keystead_client_address", default="")

log = structlog.get_logger("keystead.api")


def current_request_id() -> str:
    """The id of the request that is being served (``req_...``), or "" outside one."""
    return _current.get()


def current_client_address() -> str:
    """The address that the request which is being served came from, or "" outside one."""
    return _address.get()


class RequestIdMiddleware:
    """Gives the request an id, binds it to the log, answers it, and logs the request once.

    The id is always ours, so that nobody can make two requests look like one; an id that the caller
    sends in ``Request-Id`` is logged beside it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = ids.encode("req", ids.uuid7())
        bound = {"request_id": request_id}
        foreign = request.headers.get(HEADER, "")
        if _FOREIGN.match(foreign):
            bound["client_request_id"] = foreign
        token = _current.set(request_id)
        address = _address.set(client_address(request))
        started = time.monotonic()
        try:
            with structlog.contextvars.bound_contextvars(**bound):
                response = self.get_response(request)
                log.info(
                    "api.request",
                    method=request.method,
                    route=_route(request),
                    status=response.status_code,
                    milliseconds=round((time.monotonic() - started) * 1000, 1),
                )
        finally:
            _address.reset(address)
            _current.reset(token)
        response.headers[HEADER] = request_id
        if not response.streaming and response.status_code not in {204, 304}:
            # Without it the server sends chunks, and a client cannot tell an answer that was cut off.
            response.headers.setdefault("Content-Length", str(len(response.content)))
        return response


def _route(request: HttpRequest) -> str:
    # The route, not the path: paths carry ids of people, and logs outlive them.
    match = request.resolver_match
    return match.route if match else ""
