"""The one base of errors that a caller of the platform may see."""

from __future__ import annotations

from typing import Any, ClassVar


class DomainError(Exception):
    """Something that the caller asked for cannot be done, said in words that the caller may read.

    A subclass stands beside the function that raises it and fixes ``code`` (snake_case, never changed
    once published), ``status`` (HTTP) and ``title``. ``detail`` is a sentence about this occurrence;
    ``field`` names the input at fault (dotted for nested input); ``extra`` becomes extension members
    of the problem document, so it holds JSON values and nothing secret.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The request cannot be fulfilled"

    def __init__(self, detail: str = "", *, field: str | None = None, **extra: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.field = field
        self.extra = extra


class NotFound(DomainError):
    """The object does not exist, or the caller may not see it: both look the same from outside."""

    code = "not_found"
    status = 404
    title = "Not found"


class InvalidInput(DomainError):
    """A value was understood and is not acceptable; ``field`` names it."""

    code = "invalid_input"
    status = 400
    title = "The request has invalid fields"


class Conflict(DomainError):
    """The request does not fit the present state of the object."""

    code = "conflict"
    status = 409
    title = "The request conflicts with the present state"
