"""Recognises the bearer of a session token: a member, or on the platform's host an operator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed

from engine.errors import DomainError
from engine.principals import Principal
from shared.accounts import rules, services

IMPERSONATION_HEADER = "Keystead-Impersonation"
INVALID_TOKEN = "invalid_token"  # noqa: S105 - an error code


class SecondFactorRequired(DomainError):
    """The policy asks for a second factor, and this session has not shown one: only adding one is possible."""

    code = "second_factor_required"
    status = 403
    title = "A second factor is required here"


@dataclass(frozen=True, slots=True)
class Impersonated:
    """That the caller is platform staff who looks into an organization: what a console has to show."""

    id: str
    operator: str
    role: str
    reason: str
    expires_at: datetime

    @property
    def header(self) -> str:
        """As a structured field (RFC 9651): an item with parameters."""
        until = int(self.expires_at.timestamp())
        return f"{self.id};operator={self.operator};role={self.role};expires=@{until}"


@dataclass(frozen=True, slots=True)
class Caller:
    """What DRF calls the user of a request: somebody with a principal."""

    principal: Principal
    session_id: UUID | None = None
    impersonation: Impersonated | None = None

    is_authenticated = True
    is_active = True
    is_anonymous = False

    @property
    def answer_headers(self) -> dict[str, str]:
        """What every answer to this caller carries."""
        return {IMPERSONATION_HEADER: self.impersonation.header} if self.impersonation else {}

    @property
    def pk(self) -> str:
        """The public id."""
        return self.principal.public_id


class BearerAuthentication(BaseAuthentication):
    """The parts that every kind of bearer token shares (RFC 6750)."""

    def authenticate_header(self, request: Any) -> str:
        """The challenge of a 401. It says more only to somebody who sent a token."""
        return f'Bearer error="{INVALID_TOKEN}"' if bearer_token(request) else "Bearer"


class SessionTokenAuthentication(BearerAuthentication):
    """`Authorization: Bearer kst_...`. Leaves tokens of any other look to the classes after it."""

    def authenticate(self, request: Any) -> tuple[Caller, str] | None:
        """The caller, or None. Raises AuthenticationFailed (`invalid_token`)."""
        token = bearer_token(request)
        if token is None or not token.startswith(f"{rules.SESSION_PREFIX}_"):
            return None
        session = services.authenticate(token=token)
        if session is None:
            raise invalid_token()
        view = (request.parser_context or {}).get("view")
        if session.lacks_mfa and not getattr(view, "needs_no_second_factor", False):
            raise SecondFactorRequired
        return Caller(principal=session.principal, session_id=session.id), token


def bearer_token(request: Any) -> str | None:
    """The token of the Authorization header, or None when it is missing or of another scheme."""
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def invalid_token() -> AuthenticationFailed:
    """The same words for a token that is unknown, expired, revoked or another organization's."""
    return AuthenticationFailed(
        "The token is not valid here, or no longer.",
        code=INVALID_TOKEN,
    )
