"""One HTTP request to a stranger's server.

Whoever configures an endpoint chooses where we connect to, so this is the place where a request could
be turned against the inside of the house. The address is checked after it was resolved and is the one
that is connected to; nothing resolves a second time. No redirect, no proxy, no cookie, no reuse.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httpcore2
import httpx2
from httpcore2 import SOCKET_OPTION

from engine.calls.public_network import AddressRefused, resolve

CONNECT_TIMEOUT_SECONDS = 5.0
TOTAL_TIMEOUT_SECONDS = 15.0
RESPONSE_BYTES_MAX = 16_384
_CHUNK_BYTES = 4096


class NotDelivered(Exception):
    """No answer came. ``error`` is one word for the log: why."""

    def __init__(self, error: str, *, duration_ms: int = 0) -> None:
        super().__init__(error)
        self.error = error
        self.duration_ms = duration_ms


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said: its status, and the beginning of its body as text."""

    status: int
    text: str
    duration_ms: int


class _Deadline:
    """The moment after which nothing is waited for, however slowly bytes keep dripping in."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def at_most(self, seconds: float | None) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the deadline of the delivery has passed")
        return left if seconds is None else min(seconds, left)


class _Stream(httpcore2.NetworkStream):
    """A network stream under a deadline."""

    def __init__(self, inner: httpcore2.NetworkStream, deadline: _Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.at_most(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.at_most(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, self._deadline.at_most(timeout))
        return _Stream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore2.NetworkBackend):
    """Resolves, checks, and connects to what was checked."""

    def __init__(self, *, allow_private: bool, deadline: _Deadline) -> None:
        self._allow_private = allow_private
        self._deadline = deadline
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        address = resolve(host, port, allow_private=self._allow_private)
        connected = self._inner.connect_tcp(
            address, port, self._deadline.at_most(timeout), local_address, socket_options
        )
        return _Stream(connected, self._deadline)

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        raise httpcore2.ConnectError("a delivery goes to the network")


class _Transport(httpx2.HTTPTransport):
    """httpx2's transport over our backend."""

    def __init__(self, backend: httpcore2.NetworkBackend) -> None:
        super().__init__(verify=_tls(), trust_env=False)
        self._pool.close()
        self._pool = httpcore2.ConnectionPool(ssl_context=_tls(), max_connections=1, network_backend=backend)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return httpx2.create_ssl_context(trust_env=False)


def post(*, url: str, body: bytes, headers: Mapping[str, str], allow_private: bool) -> Answer:
    """Send one delivery and wait for its answer, for at most 15 seconds.

    ``allow_private`` lets it reach private addresses, for development. Raises NotDelivered.
    """
    started = time.monotonic()
    deadline = _Deadline(TOTAL_TIMEOUT_SECONDS)
    timeout = httpx2.Timeout(TOTAL_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS)
    transport = _Transport(_Backend(allow_private=allow_private, deadline=deadline))
    try:
        with (
            httpx2.Client(transport=transport, timeout=timeout, trust_env=False, follow_redirects=False) as client,
            client.stream("POST", url, content=body, headers=dict(headers)) as response,
        ):
            text = _beginning(response)
            return Answer(response.status_code, text, _milliseconds(started))
    except AddressRefused:
        raise NotDelivered("address_refused", duration_ms=_milliseconds(started)) from None
    except httpx2.TimeoutException as error:
        raise NotDelivered("timeout", duration_ms=_milliseconds(started)) from error
    except httpx2.ConnectError as error:
        raise NotDelivered(_connect_error(error), duration_ms=_milliseconds(started)) from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise NotDelivered("broken_answer", duration_ms=_milliseconds(started)) from error


def _beginning(response: httpx2.Response) -> str:
    """The start of the body. Not decompressed: a small body could unfold into gigabytes."""
    taken = bytearray()
    for chunk in response.iter_raw(_CHUNK_BYTES):
        taken += chunk
        if len(taken) >= RESPONSE_BYTES_MAX:
            break
    return bytes(taken[:RESPONSE_BYTES_MAX]).decode("utf-8", "replace").replace("\x00", "\ufffd")


def _connect_error(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "tls_failed"
        if isinstance(cause, socket.gaierror | UnicodeError):
            return "not_resolved"
        cause = cause.__cause__ or cause.__context__
    return "not_connected"


def _milliseconds(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
