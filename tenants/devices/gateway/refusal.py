"""Saying no to a handshake in HTTP, before there is a socket."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from engine import ids
from engine.tenancy.routing import PROBLEM_BASE

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def refuse_handshake(send: Send, status: int, code: str, title: str) -> None:
    """Answer the handshake with a problem document instead of a socket."""
    request_id = ids.encode("req", ids.uuid7())
    body = json.dumps(
        {
            "type": PROBLEM_BASE + code,
            "title": title,
            "status": status,
            "code": code,
            "request_id": request_id,
        }
    ).encode()
    await send(
        {
            "type": "websocket.http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/problem+json"),
                (b"content-length", str(len(body)).encode()),
                (b"request-id", request_id.encode()),
            ],
        }
    )
    await send({"type": "websocket.http.response.body", "body": body})
