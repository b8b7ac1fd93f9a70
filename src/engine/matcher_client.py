"""Calls the matcher over HTTP on behalf of one organization. Imports no Django.

docs/matcher.md describes the endpoints. Every one of them may be repeated: sealing twice gives two
ciphertexts of one template, of which the caller keeps one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine import service_tokens
from engine.clock import Clock, utc_now
from engine.errors import DomainError
from engine.service_tokens import MATCHER_AUDIENCE, OrganizationClaims

_READ_SECONDS: Final = 10.0
"""Enough to load a gallery; a search takes milliseconds."""
# A restart of the matcher takes about a second; a caller with a person at a terminal waits no longer.
_RETRY_PAUSES: Final = (0.1, 0.3, 0.6)
_BUSY: Final = frozenset({502, 503, 504})


class MatcherUnavailable(DomainError):
    """The matcher did not answer, or cannot open this organization's keys for now. Try again."""

    code: ClassVar[str] = "matcher_unavailable"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "Matching is unavailable for now"

    reason: str = ""
    """What the matcher said about itself, for operators only: a caller of the platform is not told."""


class MatcherRefused(Exception):
    """The matcher answered with a problem: `code`, HTTP `status`, `detail`, and the `field` at fault."""

    def __init__(self, *, code: str, status: int, detail: str, field: str | None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.status = status
        self.detail = detail
        self.field = field


class MatcherClient:
    """One matcher. Safe for use from several threads; keeps connections open between calls."""

    def __init__(
        self,
        url: str,
        *,
        private_key: Ed25519PrivateKey,
        clock: Clock = utc_now,
        sleep: Callable[[float], None] = time.sleep,
        read_seconds: float = _READ_SECONDS,
    ) -> None:
        timeout = httpx2.Timeout(connect=1.0, read=read_seconds, write=5.0, pool=5.0)
        self._http = httpx2.Client(base_url=url, timeout=timeout, trust_env=False)
        self._private_key = private_key
        self._clock = clock
        self._sleep = sleep

    def call(self, path: str, body: Mapping[str, Any], *, organization: OrganizationClaims) -> dict[str, Any]:
        """POST `body` to `path` as the organization and return the answer.

        A matcher that cannot be reached or is not ready is asked again, for about a second in all.
        MatcherUnavailable when it stays so or takes too long, MatcherRefused for any other problem.
        """
        answer: httpx2.Response | None = None
        for pause in (*_RETRY_PAUSES, None):
            answer = self._post(path, body, organization)
            if answer is not None and answer.status_code not in _BUSY:
                return _checked(answer)
            if pause is not None:
                self._sleep(pause)
        unavailable = MatcherUnavailable()
        if answer is not None:
            unavailable.reason = str((_object(answer) or {}).get("detail", ""))
        raise unavailable

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _post(self, path: str, body: Mapping[str, Any], organization: OrganizationClaims) -> httpx2.Response | None:
        token = service_tokens.mint(
            private_key=self._private_key,
            audience=MATCHER_AUDIENCE,
            organization=organization,
            clock=self._clock,
        )
        try:
            return self._http.post(path, json=body, headers={"Authorization": f"Bearer {token}"})
        except httpx2.ReadTimeout:
            # It is at work: the same question again would only add to that.
            raise MatcherUnavailable from None
        except httpx2.TransportError:
            return None


def _checked(answer: httpx2.Response) -> dict[str, Any]:
    content = _object(answer)
    if answer.is_success and content is not None:
        return content
    problem = content or {}
    errors = problem.get("errors") or [{}]
    raise MatcherRefused(
        code=str(problem.get("code", "unknown")),
        status=answer.status_code,
        detail=str(problem.get("detail", "")),
        field=errors[0].get("field"),
    )


def _object(answer: httpx2.Response) -> dict[str, Any] | None:
    """The JSON object of an answer, None when it is something else."""
    try:
        content = answer.json()
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
