"""What of a request body and a query string reaches a view: bounded, strict, storable JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.utils.mediatypes import media_type_matches

from engine.api import problems

MAX_DEPTH = 32
MAX_INTEGER = 2**63 - 1


def max_body_bytes(view: Any = None) -> int:
    """The most bytes that a view (class, instance or None) accepts as a body."""
    own: int | None = getattr(view, "max_body_bytes", None)
    return settings.DATA_UPLOAD_MAX_MEMORY_SIZE if own is None else own


class BodyLimitMiddleware:
    """Answers 413 from the Content-Length, before a byte of the body is read.

    A body of unknown length is refused with 411: neither WSGI nor our limits can trust it.
    It stands before any middleware that reads the body (CSRF does).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        """Compare the announced length with the limit of the view that was found."""
        if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower() and not (
            request.META.get("CONTENT_LENGTH")
        ):
            return problems.problem(status=411)
        try:
            length = int(request.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            return problems.problem(status=400, detail="Content-Length is not a number.")
        limit = max_body_bytes(getattr(view, "cls", None))
        if length > limit:
            return problems.problem(
                status=413,
                detail=f"The body has {length} bytes; at most {limit} are accepted.",
                extra={"max_bytes": limit},
                headers={"Connection": "close"},
            )
        return None


class StrictJSONParser(BaseParser):
    """JSON as RFC 8259 means it, in UTF-8, with every value fit for the database.

    Refused, with the path of the field: NaN and infinities, numbers that overflow a double,
    integers beyond 64 bits, NUL and lone surrogates in strings. Refused as a whole: duplicate keys
    (two readers could disagree about the meaning), nesting beyond MAX_DEPTH, anything but UTF-8.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The decoded document. Raises ParseError, or ValidationError when a field is at fault."""
        limit = max_body_bytes((parser_context or {}).get("view"))
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge
        return decode(body)


class BodyTooLarge(ParseError):
    """The body turned out longer than it said."""

    status_code = 413
    default_code = "body_too_large"


def decode(body: bytes) -> Any:
    """Decode and check one JSON document. Raises ParseError or ValidationError."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise ParseError("The body is not UTF-8.", code="invalid_json") from exc
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except RecursionError as exc:
        raise ParseError("The body is nested too deeply.", code="invalid_json") from exc
    except json.JSONDecodeError as exc:
        where = f"line {exc.lineno} column {exc.colno}"
        raise ParseError(f"The body is not JSON: {exc.msg} at {where}.", code="invalid_json") from exc
    except ValueError as exc:
        # Python refuses to convert integers of thousands of digits.
        raise ParseError("The body has a number that is too long.", code="invalid_json") from exc
    _check(document)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ParseError("An object of the body has the same key twice.", code="invalid_json")
    return result


def _check(document: Any) -> None:
    """Walk without recursion; remember at most a few faults."""
    faults: dict[str, Any] = {}
    todo: list[tuple[str, int, Any]] = [("", 0, document)]
    while todo and len(faults) < 20:
        path, depth, value = todo.pop()
        fault = None
        if isinstance(value, dict):
            for key in value:
                if _unstorable(key):
                    fault = "A key has a character that cannot be stored."
            todo.extend((_join(path, key), depth + 1, item) for key, item in value.items())
        elif isinstance(value, list):
            todo.extend((_join(path, str(i)), depth + 1, item) for i, item in enumerate(value))
        elif isinstance(value, str):
            fault = "This has a character that cannot be stored." if _unstorable(value) else None
        elif isinstance(value, float):
            fault = None if math.isfinite(value) else "This is not a finite number."
        elif isinstance(value, int) and abs(value) > MAX_INTEGER:
            fault = "This number is too large."
        if depth > MAX_DEPTH:
            raise ParseError(f"The body is nested deeper than {MAX_DEPTH}.", code="invalid_json")
        if fault:
            faults[path or "body"] = [fault]
    if faults:
        raise ValidationError(faults)


def _join(path: str, key: str) -> str:
    # A key out of the body is echoed: bounded, and harmless in any encoding.
    shown = key[:64].encode("ascii", "replace").decode("ascii")
    return f"{path}.{shown}" if path else shown


def _unstorable(text: str) -> bool:
    # PostgreSQL takes neither NUL nor half of a surrogate pair.
    return "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text)


def check_query(query: Mapping[str, Any]) -> None:
    """Refuse query parameters that cannot be stored or are given twice. Raises ValidationError."""
    faults = {}
    for name in query:
        values = query.getlist(name) if hasattr(query, "getlist") else [query[name]]
        if _unstorable(name) or any(_unstorable(value) for value in values):
            faults[_join("", name)] = ["This has a character that cannot be stored."]
        elif len(values) > 1:
            faults[_join("", name)] = ["This is given more than once."]
    if faults:
        raise ValidationError(faults)


def refuse_parameters(names: Iterable[str]) -> NoReturn:
    """Raise the ValidationError for query parameters that the operation does not know."""
    raise ValidationError(
        {
            _join("", name): [ErrorDetail("This parameter is not known here.", code="unknown_parameter")]
            for name in names
        }
    )


class JSONOnly(BaseContentNegotiation):
    """We speak JSON whatever the Accept header says, and read JSON only."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        """The parser of the request's media type, or None (415)."""
        content_type = request.content_type or ""
        return next((p for p in parsers if media_type_matches(p.media_type, content_type)), None)

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        """Always the first renderer."""
        return renderers[0], renderers[0].media_type


class BodyLimit:
    """The same limit for an ASGI server, where Django reads the whole body before any middleware.

    Wraps the ASGI application. Counts what arrives, so a chunked body is held to it as well.
    """

    def __init__(self, app: Any, *, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, or answer 413 without it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self.max_bytes:
            await _refuse(send)
            return
        chunks: list[Any] = []
        size = 0
        while True:
            message = await receive()
            chunks.append(message)
            size += len(message.get("body", b""))
            if size > self.max_bytes:
                await _refuse(send)
                return
            if message["type"] != "http.request" or not message.get("more_body", False):
                break

        async def replay() -> Any:
            return chunks.pop(0) if chunks else await receive()

        await self.app(scope, replay, send)


async def _refuse(send: Any) -> None:
    response = problems.problem(status=413)
    headers = [(k.lower().encode(), v.encode()) for k, v in response.items()]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})
