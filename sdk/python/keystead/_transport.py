"""One request: headers, retries that cannot act twice, and problems as exceptions."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from keystead._auth import Auth
from keystead._errors import APIError, AuthenticationError, ConnectionFailed, error_of
from keystead._hosts import reachable

USER_AGENT = "keystead-python/0.1"
_RETRIED = frozenset({429, 502, 503, 504})
_IN_PROGRESS = "idempotency_in_progress"
_PAUSE_MAX_S = 8.0
_SAFE = frozenset({"GET", "PUT", "DELETE"})


class Transport:
    """Talks to one organization (or to the platform). Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        *,
        auth: Auth,
        timeout_s: float = 30.0,
        retries: int = 4,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        target, host = reachable(url.rstrip("/"))
        self.url = url.rstrip("/")
        self._auth = auth
        self._retries = retries
        self._sleep = sleep
        self._http = httpx2.Client(
            base_url=target,
            headers={"Host": host, "User-Agent": USER_AGENT, "Accept": "application/json"},
            timeout=timeout_s,
            trust_env=target == self.url,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def authorization(self) -> str:
        """The Authorization header of the next request."""
        return self._auth.headers(self).get("Authorization", "")

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        etag: str | None = None,
    ) -> dict[str, Any]:
        """Send it, again if need be, and return the answer's JSON.

        A POST gets an Idempotency-Key of its own unless one is given, so that a retry acts once.
        Raises APIError or ConnectionFailed.
        """
        headers: dict[str, str] = {}
        if method == "POST":
            headers["Idempotency-Key"] = idempotency_key or str(uuid.uuid4())
        if etag is not None:
            headers["If-Match"] = etag
        given = {name: value for name, value in (query or {}).items() if value is not None}
        renewed = False
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            try:
                response = self._http.request(
                    method, path, json=json, params=given, headers={**headers, **self._auth.headers(self)}
                )
            except httpx2.TransportError as error:
                if last or method not in _SAFE | {"POST"}:
                    raise ConnectionFailed(f"{method} {self.url}{path}: {type(error).__name__}") from error
                self._sleep(_pause(attempt))
                continue
            if response.is_success:
                return _body(response)
            problem = _problem(response)
            if isinstance(problem, AuthenticationError) and not (last or renewed) and self._auth.renew():
                renewed = True
                continue
            if last or not (response.status_code in _RETRIED or problem.code == _IN_PROGRESS):
                raise problem
            self._sleep(_pause(attempt, response.headers.get("Retry-After")))
        raise AssertionError("the last attempt returns or raises")

    def form(self, path: str, fields: Mapping[str, str], *, basic: tuple[str, str]) -> dict[str, Any]:
        """POST a form with HTTP Basic, as OAuth's token endpoint wants it. Retried like the rest."""
        for attempt in range(self._retries + 1):
            try:
                response = self._http.post(path, data=dict(fields), auth=basic)
            except httpx2.TransportError as error:
                if attempt == self._retries:
                    raise ConnectionFailed(f"POST {self.url}{path}: {type(error).__name__}") from error
            else:
                if response.is_success:
                    return _body(response)
                if attempt == self._retries or response.status_code not in _RETRIED:
                    raise _problem(response)
            self._sleep(_pause(attempt))
        raise AssertionError("the last attempt returns or raises")


def _pause(attempt: int, retry_after: str | None = None) -> float:
    if retry_after and retry_after.isdigit():
        return min(float(retry_after), _PAUSE_MAX_S)
    # Jitter, so that clients that failed together do not come back together.
    return min(_PAUSE_MAX_S, 0.2 * 2**attempt) * (0.5 + random.random() / 2)  # noqa: S311  # no secret


def _body(response: httpx2.Response) -> dict[str, Any]:
    if not response.content:
        return {}
    body = response.json()
    found: dict[str, Any] = body if isinstance(body, dict) else {"data": body}
    if etag := response.headers.get("ETag"):
        found["_etag"] = etag
    return found


def _problem(response: httpx2.Response) -> APIError:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    if "error" in problem:
        # RFC 6749, section 5.2: the token endpoint speaks OAuth.
        problem = {"code": problem["error"], "detail": problem.get("error_description", "")}
    return error_of(status=response.status_code, problem=problem, request_id=response.headers.get("Request-Id", ""))
