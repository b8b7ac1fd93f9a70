"""Which consumer answers which path of an organization's host."""

from __future__ import annotations

from typing import Any

from channels.routing import URLRouter
from django.urls import path

from tenants.devices.gateway.consumer import GatewayConsumer
from tenants.devices.gateway.dispatcher import Dispatcher
from tenants.devices.gateway.refusal import refuse_handshake
from tenants.devices.selectors import GATEWAY_PATH

NOT_FOUND = 404


class GatewayRouter:
    """The sockets' side of the gateway process, around its dispatcher."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._sockets = URLRouter([path(GATEWAY_PATH.lstrip("/"), GatewayConsumer.as_asgi(dispatcher=dispatcher))])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a socket. Other paths get an answer in HTTP, not a broken handshake."""
        if scope["path"] != GATEWAY_PATH:
            await refuse_handshake(send, NOT_FOUND, "not_found", "Not found")
            return
        await self._sockets(scope, receive, send)
