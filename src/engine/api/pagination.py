"""Lists page by page, by key: nothing is counted, skipped or shown twice.

``?limit=`` (1 to 100, 25 unless told) and ``?cursor=``. A cursor is opaque and signed; it is good
for the same list, organization and filters that it came from, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import UUID

from django.core import signing
from rest_framework.pagination import BasePagination
from rest_framework.response import Response

from engine.errors import DomainError
from engine.tenancy.context import key_prefix

DEFAULT_LIMIT = 25
MAX_LIMIT = 100
PARAMETERS = ("limit", "cursor")

_signer = signing.Signer(salt="keystead.cursor")


class InvalidCursor(DomainError):
    """The cursor was not made by us, or for another list."""

    code = "invalid_cursor"
    status = 400
    title = "The cursor is not valid for this list"


class InvalidLimit(DomainError):
    """``limit`` is not an integer from 1 to 100."""

    code = "invalid_limit"
    status = 400
    title = "The limit is not valid"


class KeyPagination(BasePagination):
    """Pages of a queryset along one unique column.

    ``key`` names the column (UUID or integer); ``descending`` puts the newest first. A view may set
    ``page_key`` and ``page_descending`` instead of subclassing.
    """

    key = "id"
    descending = True

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> list[Any]:
        """The rows of the page. Raises InvalidLimit or InvalidCursor."""
        key = getattr(view, "page_key", None) or self.key
        descending = getattr(view, "page_descending", None)
        descending = self.descending if descending is None else descending
        limit = read_limit(request.query_params.get("limit"))
        scope = _scope(request, key, descending)
        cursor = request.query_params.get("cursor")
        if cursor is not None:
            after = read_cursor(cursor, scope)
            queryset = queryset.filter(**{f"{key}__{'lt' if descending else 'gt'}": after})
        rows = list(queryset.order_by(f"-{key}" if descending else key)[: limit + 1])
        self.next_cursor = None
        if len(rows) > limit:
            rows = rows[:limit]
            self.next_cursor = write_cursor(getattr(rows[-1], key), scope)
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        """``{"data": [...], "next_cursor": ...}``."""
        return Response({"data": data, "next_cursor": self.next_cursor})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The same, as OpenAPI."""
        return {
            "type": "object",
            "required": ["data", "next_cursor"],
            "properties": {
                "data": schema,
                "next_cursor": {
                    "type": "string",
                    "nullable": True,
                    "description": "Pass it as `cursor` to get the next page; null on the last.",
                },
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """``limit`` and ``cursor`` as OpenAPI parameters."""
        return [
            {
                "name": "limit",
                "in": "query",
                "required": False,
                "description": f"How many items a page has at most ({DEFAULT_LIMIT} unless told).",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MAX_LIMIT,
                    "default": DEFAULT_LIMIT,
                },
            },
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "The `next_cursor` of the page before.",
                "schema": {"type": "string", "maxLength": 512},
            },
        ]


def read_limit(text: str | None) -> int:
    """The page size that a caller asked for. Raises InvalidLimit."""
    if text is None:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise InvalidLimit(f"limit is an integer from 1 to {MAX_LIMIT}.", field="limit")


def write_cursor(key: UUID | int, scope: str) -> str:
    """The opaque text that continues the list ``scope`` behind ``key``."""
    kind = "u" if isinstance(key, UUID) else "i"
    text = key.hex if isinstance(key, UUID) else str(key)
    return signing.b64_encode(_signer.sign_object([kind, text, scope]).encode()).decode()


def read_cursor(cursor: str, scope: str) -> UUID | int:
    """The key behind which the list goes on. Raises InvalidCursor."""
    try:
        signed = signing.b64_decode(cursor.encode("ascii")).decode("ascii")
        kind, text, made_for = _signer.unsign_object(signed)
    except (ValueError, signing.BadSignature) as exc:
        raise InvalidCursor("Start again without a cursor.", field="cursor") from exc
    if made_for != scope:
        raise InvalidCursor("It was made for another list or other filters.", field="cursor")
    return UUID(text) if kind == "u" else int(text)


def _scope(request: Any, key: str, descending: bool) -> str:
    filters = sorted((k, v) for k, v in request.query_params.items() if k not in PARAMETERS)
    parts = [key_prefix(), request.path, key, descending, filters]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
