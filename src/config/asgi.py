"""The gateway process: uvicorn serves `application` (see config.gateway).

Sockets go to the devices' consumers. HTTP is the whole API as well, so that on one machine a single
process can serve both; `/healthz` and `/readyz` answer on every host.
"""

from __future__ import annotations

import json
import os
from typing import Any

import django
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

# Apps are ready only now.
from django.conf import settings  # noqa: E402

from engine.api.parsing import BodyLimit  # noqa: E402
from tenants.devices.gateway import registry  # noqa: E402
from tenants.devices.gateway.dispatcher import Dispatcher  # noqa: E402
from tenants.devices.gateway.limits import Limits  # noqa: E402
from tenants.devices.gateway.routing import GatewayRouter  # noqa: E402


class Application:
    """One per event loop: its dispatcher starts and stops with the server's lifespan."""

    def __init__(self, *, limits: Limits | None = None) -> None:
        self._limits = limits
        # Django's handler stores the whole body before any middleware of ours could refuse it.
        self._http = BodyLimit(get_asgi_application(), max_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        self._sockets: GatewayRouter | None = None
        self.dispatcher: Dispatcher | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection, or the lifespan of the process."""
        match scope["type"]:
            case "lifespan":
                await self._live(receive, send)
            case "websocket":
                if self._sockets is None:
                    raise RuntimeError("serve the gateway with lifespan on")
                await self._sockets(scope, receive, send)
            case "http" if scope["path"] in ("/healthz", "/readyz"):
                await self._tell_health(scope["path"], send)
            case "http":
                await self._http(scope, receive, send)

    async def _live(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                registry.discover()
                self.dispatcher = Dispatcher(limits=self._limits)
                self._sockets = GatewayRouter(self.dispatcher)
                await self.dispatcher.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                if self.dispatcher is not None:
                    await self.dispatcher.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _tell_health(self, path: str, send: Any) -> None:
        status = 200
        if path == "/readyz" and (self.dispatcher is None or not await self.dispatcher.is_ready()):
            status = 503
        body = json.dumps({"status": "ok" if status == 200 else "unavailable"}).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


application = Application()
