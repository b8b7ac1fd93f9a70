"""`@idempotent` for the handlers of an API."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar

import structlog
from django.db import DatabaseError, transaction
from django.http import HttpResponse
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from engine.api.views import APIView, Request
from engine.idempotency import services
from engine.idempotency.services import Answer, Command

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
_PURGE_CHANCE = 1 / 500
_REPEATED_HEADERS = ("Location", "ETag")

log = structlog.get_logger("keystead.api")

Handler = TypeVar("Handler", bound=Callable[..., Any])


def idempotent(
    *, required: bool, finish: str | None = None, lease: timedelta = services.LEASE
) -> Callable[[Handler], Handler]:
    """Make a handler repeatable under the request's Idempotency-Key.

    Without ``finish`` the handler is a one-transaction command: it runs inside
    ``transaction.atomic()``, with or without a key, and its answer is stored with its effect.

    With ``finish`` (the name of a method of the view) the command calls a provider: the handler
    runs inside the transaction and returns the id of what it committed to do, as text; then
    ``view.<finish>(request, id)`` runs outside any transaction and returns the response. It is
    called again for the same id when a repeat resumes the command, so it has to be safe to repeat.

    ``required`` answers 400 to a request without a key. Put it under ``operation``.
    """

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        def handle(view: APIView, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
            key = services.check_key(request.headers.get(HEADER), required=required)

            def act() -> Any:
                return handler(view, request, *args, **kwargs)

            def complete(intent: str) -> Any:
                return getattr(view, finish or "")(request, intent)

            if key is None:
                with transaction.atomic():
                    outcome = act()
                return complete(outcome) if finish else outcome
            command = _command(request, key, kwargs)
            if finish is None:
                answer = services.run(command=command, act=lambda: _answer(act()))
            else:
                answer = services.run_in_two_phases(
                    command=command,
                    begin=act,
                    finish=lambda intent: _answer(complete(intent)),
                    lease=lease,
                )
            if random.random() < _PURGE_CHANCE:  # noqa: S311  # spreads housekeeping, decides nothing
                _purge()
            return _response(answer)

        handle.idempotency = "required" if required else "optional"  # type: ignore[attr-defined]
        return handle  # type: ignore[return-value]

    return decorate


def _purge() -> None:
    """Housekeeping after the command has committed: it must not turn its answer into an error."""
    try:
        services.purge()
    except DatabaseError as error:
        log.warning("idempotency.purge_failed", error=type(error).__name__)


def _command(request: Request, key: str, kwargs: dict[str, Any]) -> Command:
    match = request.resolver_match
    route = match.route if match else request.path
    # The route names the endpoint; its arguments count as body, so that the same key on another
    # object is told apart as a reuse.
    target = {name: str(value) for name, value in sorted(kwargs.items())}
    return Command(
        principal=request.caller,
        endpoint=f"{request.method} {route}"[:200],
        key=key,
        body={"target": target, "body": request.data},
    )


def _answer(response: Any) -> Answer:
    if isinstance(response, Response):
        content = JSONRenderer().render(response.data) if response.data is not None else b""
    else:
        content = response.content
    headers = {name: response[name] for name in _REPEATED_HEADERS if name in response}
    return Answer(status=response.status_code, content=content, headers=headers)


def _response(answer: Answer) -> HttpResponse:
    content_type = "application/problem+json" if answer.status >= 400 else "application/json"
    response = HttpResponse(answer.content, status=answer.status, content_type=content_type)
    for name, value in answer.headers.items():
        response[name] = value
    if answer.replayed:
        response[REPLAYED] = "true"
    return response
