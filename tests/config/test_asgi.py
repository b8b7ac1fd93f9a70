"""The gateway process serves the HTTP API too, within the same limits."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings

from config.asgi import Application


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_above_the_limit_is_refused_before_it_is_stored(announced: bool) -> None:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    headers = [(b"host", b"nobody.invalid")]
    if announced:
        headers.append((b"content-length", str(limit + 1).encode()))
    scope = {"type": "http", "method": "POST", "path": "/v1/people", "headers": headers}
    taken, sent = 0, list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 65_536
        return {"type": "http.request", "body": bytes(65_536), "more_body": True}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await Application()(scope, receive, send)
    assert sent[0]["status"] == 413
    assert taken <= (0 if announced else limit + 65_536)
