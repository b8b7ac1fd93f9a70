"""`*.localhost` means this machine (RFC 6761, section 6.3). Python's resolver does not know that."""

from __future__ import annotations

from urllib.parse import urlsplit

_LOOPBACK = "127.0.0.1"


def reachable(url: str) -> tuple[str, str]:
    """Where to connect, and the Host that the request is for."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host != "localhost" and not host.endswith(".localhost"):
        return url, parts.netloc
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"{_LOOPBACK}{port}").geturl(), parts.netloc
