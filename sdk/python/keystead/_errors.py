"""What can go wrong, as exceptions that carry what the API said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class KeysteadError(Exception):
    """The base of everything that this package raises."""


class ConnectionFailed(KeysteadError):
    """The platform did not answer, also not after retries. Whether it acted is not known.

    Repeat the call with the same `idempotency_key` to find out without acting twice.
    """


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault of one input."""

    field: str
    code: str
    detail: str


class APIError(KeysteadError):
    """The platform refused a request: an RFC 9457 problem document. Decide by `code`."""

    def __init__(self, *, status: int, problem: dict[str, Any], request_id: str) -> None:
        self.status = status
        self.problem = problem
        self.code = str(problem.get("code", "unknown"))
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        self.request_id = request_id
        self.errors = tuple(
            FieldError(str(one.get("field", "")), str(one.get("code", "")), str(one.get("detail", "")))
            for one in problem.get("errors", [])
            if isinstance(one, dict)
        )
        words = self.detail or self.title or "the request was refused"
        fields = "".join(f"\n  {one.field}: {one.detail}" for one in self.errors)
        super().__init__(f"{status} {self.code}: {words} (request {request_id or 'without id'}){fields}")


class InvalidRequestError(APIError):
    """400, 413, 415, 422: the request has to change."""


class AuthenticationError(APIError):
    """401: no token, or one that means nothing here."""


class PermissionDeniedError(APIError):
    """403: known, and not allowed."""


class NotFoundError(APIError):
    """404: it does not exist, or not for this caller."""


class ConflictError(APIError):
    """409, 412, 428: the present state does not allow it."""


class RateLimitError(APIError):
    """429, also after the retries."""


class ServerError(APIError):
    """5xx, also after the retries."""


class GatewayError(KeysteadError):
    """The gateway refused a frame, or closed the connection. `code` says why."""

    def __init__(self, code: str, detail: str = "") -> None:
        self.code = code
        super().__init__(f"{code}: {detail}" if detail else code)


class SignatureError(KeysteadError):
    """A webhook was not signed by one of the secrets, or is too old."""


_BY_STATUS = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    412: ConflictError,
    428: ConflictError,
    429: RateLimitError,
}
_SERVER_FAULT = 500


def error_of(*, status: int, problem: dict[str, Any], request_id: str) -> APIError:
    """The exception for an answer."""
    kind = ServerError if status >= _SERVER_FAULT else _BY_STATUS.get(status, InvalidRequestError)
    return kind(status=status, problem=problem, request_id=request_id)
