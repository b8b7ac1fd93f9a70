"""Stripe's error envelope."""

from __future__ import annotations

from typing import Any


class StripeError(Exception):
    """An error answer: HTTP ``status`` and the members of the ``error`` object.

    ``stored`` says whether the answer is kept under the request's idempotency key. Stripe keeps
    what an
    endpoint answered once it had begun to execute, and forgets failed validation, 401, 409 and 429.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        stored: bool = False,
        **members: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.stored = stored
        optional = {"code": code, "param": param, **members}
        self.error = {"message": message, "type": kind} | {
            name: value for name, value in optional.items() if value is not None
        }


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> StripeError:
    """400: the request itself is at fault; nothing was executed."""
    return StripeError(400, "invalid_request_error", message, param=param, code=code)


def missing(kind: str, identifier: str, *, param: str = "id") -> StripeError:
    """404 (400 when named by a parameter): no such object in this account."""
    status = 404 if param in ("id", "intent") else 400
    return StripeError(
        status,
        "invalid_request_error",
        f"No such {kind}: '{identifier}'",
        code="resource_missing",
        param=param,
    )
