"""Lists that fetch their next page when it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from keystead._transport import Transport
from keystead.types import Resource

R = TypeVar("R", bound=Resource)


class Pages(Generic[R]):
    """All items of a list, in order. Iterate it; each iteration asks anew."""

    def __init__(self, transport: Transport, path: str, kind: type[R], query: Mapping[str, Any]) -> None:
        self._transport = transport
        self._path = path
        self._kind = kind
        self._query = query

    def __iter__(self) -> Iterator[R]:
        cursor: str | None = None
        while True:
            page = self._transport.request("GET", self._path, query={**self._query, "cursor": cursor})
            for item in page["data"]:
                yield self._kind.of(item)
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def first(self) -> R | None:
        """The first item, None when there is none."""
        return next(iter(self), None)
