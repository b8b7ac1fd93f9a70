"""Puts a matcher together from its settings."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from engine import service_tokens
from engine.keys.kms import Kms, KmsError, open_kms
from engine.keys.tree import OrganizationKeys
from matcher import api, problems
from matcher.connections import Connections, LoginConnections, SwitchedConnections
from matcher.database import Database
from matcher.library import Library
from matcher.settings import Settings

logger = logging.getLogger("matcher")

BODY_BYTES_MAX = 1_048_576
_MEBIBYTE = 1024 * 1024

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def build(settings: Settings) -> FastAPI:
    """The application of one matcher process. Connects to nothing before it is started."""
    database = Database(_connections(settings))
    kms = open_kms(settings.kms_url)
    keys = OrganizationKeys(kms, max_seconds=settings.matcher_key_seconds)
    library = Library(
        database=database,
        keys=keys,
        memory_bytes=int(settings.matcher_memory_mb * _MEBIBYTE),
        feed_seconds=settings.matcher_feed_seconds,
    )
    public_keys = service_tokens.load_public_keys(settings.matcher_service_public_key_file)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        database.open()
        keeper = _Keeper(library, seconds=settings.matcher_feed_seconds)
        keeper.start()
        try:
            yield
        finally:
            keeper.stop()
            library.close()
            database.close()

    # No interactive pages: this API is for our own processes, and docs/matcher.md describes it.
    app = FastAPI(title="Keystead matcher", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app)
    app.include_router(api.router(database=database, kms=kms, keys=keys, library=library, public_keys=public_keys))
    _add_probes(app, database=database, kms=kms)
    app.add_middleware(_BodyLimit)
    return app


def _connections(settings: Settings) -> Connections:
    url, most = settings.database_url.get_secret_value(), settings.matcher_database_connections
    if settings.isolation == "role":
        return SwitchedConnections(url, connections=most)
    return LoginConnections(
        url, connections=most, secrets=settings.login_secrets, idle_seconds=settings.login_idle_seconds
    )


def _add_probes(app: FastAPI, *, database: Database, kms: Kms) -> None:
    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    def readyz(response: Response) -> dict[str, str]:
        checks = {"database": "ok" if database.ready() else "unreachable", "kms": _kms_state(kms)}
        ready = checks == {"database": "ok", "kms": "enabled"}
        response.status_code = 200 if ready else 503
        return {"status": "ready" if ready else "not_ready", **checks}

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _kms_state(kms: Kms) -> str:
    try:
        return kms.state(key_id=kms.default_key_id)
    except KmsError:
        return "unreachable"


class _Keeper(threading.Thread):
    """Tends the library until it is stopped."""

    def __init__(self, library: Library, *, seconds: float) -> None:
        super().__init__(name="keystead-matcher-keeper", daemon=True)
        self._library = library
        self._seconds = seconds
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self._library.tend()
            except Exception as error:  # noqa: BLE001  # one bad organization must not end the keeping of all
                logger.error("the keeper met an unexpected %s", type(error).__name__)

    def stop(self) -> None:
        """End the thread, after the round that it may be in."""
        self._stopping.set()
        self.join(timeout=10)


class _BodyLimit:
    """Refuses bodies above the limit, by their declared length and as they arrive."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        messages = await _received(receive) if length.isdigit() and int(length) <= BODY_BYTES_MAX else None
        if messages is None:
            detail = f"A body has at most {BODY_BYTES_MAX} bytes."
            await problems.response(413, "body_too_large", detail)(scope, receive, send)
            return

        async def replayed() -> Message:
            return messages.popleft() if messages else await receive()

        await self._app(scope, replayed, send)


async def _received(receive: Receive) -> deque[Message] | None:
    """The whole body's messages; None as soon as they hold too much."""
    messages: deque[Message] = deque()
    taken, more = 0, True
    while more:
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > BODY_BYTES_MAX:
            return None
        messages.append(message)
        more = message.get("more_body", False)
    return messages
