"""Connections to servers that somebody else chose, and so could choose to lie inside the house.

The address is checked after it was resolved, and is the one that is connected to: nothing resolves twice.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

import httpcore2
import httpx2
from httpcore2 import SOCKET_OPTION

from engine.addresses import is_public


class AddressRefused(Exception):
    """The host resolves to an address that is not the public internet's."""


def resolve(host: str, port: int, *, allow_private: bool) -> str:
    """The address to connect to. Raises AddressRefused, and httpcore2.ConnectError when there is none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise httpcore2.ConnectError("the host does not resolve") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in addresses:
        # One address inside is enough to refuse the name: its owner could choose which one we take.
        if not allow_private and not is_public(ipaddress.ip_address(text.split("%")[0])):
            raise AddressRefused(host)
    return addresses[0]


class _Backend(httpcore2.NetworkBackend):
    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            address = resolve(host, port, allow_private=self._allow_private)
        except AddressRefused as error:
            raise httpcore2.ConnectError("the address is not the public internet's") from error
        return self._inner.connect_tcp(address, port, timeout, local_address, socket_options)


class PublicTransport(httpx2.HTTPTransport):
    """httpx2's transport, to the public internet alone unless ``allow_private``; no proxy of the environment's."""

    def __init__(self, *, allow_private: bool) -> None:
        tls = httpx2.create_ssl_context(trust_env=False)
        super().__init__(verify=tls, trust_env=False)
        self._pool.close()
        self._pool = httpcore2.ConnectionPool(ssl_context=tls, network_backend=_Backend(allow_private=allow_private))
