"""Tokens: an app's, fetched and renewed by client credentials, or a member's, given."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from keystead._transport import Transport

_RENEW_BEFORE_S = 30.0


class Auth(Protocol):
    """Where the Authorization header comes from."""

    def headers(self, transport: Transport) -> dict[str, str]:
        """The headers of one request."""

    def renew(self) -> bool:
        """Forget a token that was refused; False when there is no way to another."""


class NoAuth:
    """For what needs no token: claiming a device, accepting an invitation."""

    def headers(self, transport: Transport) -> dict[str, str]:
        return {}

    def renew(self) -> bool:
        return False


class BearerToken:
    """A token that somebody else looks after."""

    def __init__(self, token: str) -> None:
        self._token = token

    def headers(self, transport: Transport) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def renew(self) -> bool:
        return False


class ClientCredentials:
    """OAuth 2.0 client credentials (RFC 6749, section 4.4). Fetches a token when there is need of one."""

    def __init__(self, client_id: str, client_secret: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pair = (client_id, client_secret)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = 0.0

    def headers(self, transport: Transport) -> dict[str, str]:
        with self._lock:
            if self._monotonic() >= self._good_until:
                answer = transport.form("/oauth/token", {"grant_type": "client_credentials"}, basic=self._pair)
                self._token = str(answer["access_token"])
                self._good_until = self._monotonic() + float(answer["expires_in"]) - _RENEW_BEFORE_S
            return {"Authorization": f"Bearer {self._token}"}

    def renew(self) -> bool:
        with self._lock:
            self._good_until = 0.0
        return True
