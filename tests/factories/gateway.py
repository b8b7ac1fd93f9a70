"""A real gateway on a loopback port, and a device's end of a socket to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tenants.devices.gateway.dispatcher import Dispatcher
from tenants.devices.gateway.limits import Limits
from tests.factories.devices import Enrolled

PATIENCE_S = 15


@dataclass
class Gateway:
    """A gateway of this process, on a thread and a loop of its own."""

    port: int
    loop: asyncio.AbstractEventLoop
    dispatcher: Dispatcher


@contextmanager
def gateway(limits: Limits | None = None) -> Iterator[Gateway]:
    """Serve `config.asgi` as the gateway process does."""
    from config.asgi import Application
    from config.gateway import configuration

    application = Application(limits=limits or Limits())
    loops: list[asyncio.AbstractEventLoop] = []
    server = uvicorn.Server(configuration(application, host="127.0.0.1", port=0, timeout_graceful_shutdown=2))

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    deadline = time.monotonic() + PATIENCE_S
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            raise RuntimeError("the gateway did not start")
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    assert application.dispatcher is not None
    try:
        yield Gateway(port=port, loop=loops[0], dispatcher=application.dispatcher)
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "the gateway did not stop"


class Line:
    """A device's end of a socket: sends and receives frames as objects."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, frame: dict[str, Any] | str | bytes) -> None:
        text = json.dumps(frame) if isinstance(frame, dict) else frame
        await self.socket.send(text)

    async def receive(self) -> dict[str, Any]:
        """The next frame."""
        async with asyncio.timeout(PATIENCE_S):
            frame = json.loads(await self.socket.recv())
        assert isinstance(frame, dict)
        return frame

    async def ask(self, frame: dict[str, Any] | str | bytes) -> dict[str, Any]:
        """Send a frame and take the next one for its answer."""
        await self.send(frame)
        return await self.receive()

    async def close_code(self) -> int:
        """Wait until the other side has closed, whatever it says before; the code it closed with."""
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    await self.socket.recv()
        assert self.socket.close_code is not None
        return self.socket.close_code


@asynccontextmanager
async def line(served: Gateway, url: str, **options: Any) -> AsyncIterator[Line]:
    """An open socket to the gateway under the host of `url`."""
    parts = urlsplit(url)
    target = f"ws://{parts.hostname}:{served.port}{parts.path}"
    async with connect(
        target, host="127.0.0.1", port=served.port, ping_interval=None, close_timeout=1, proxy=None, **options
    ) as socket:
        yield Line(socket)


@asynccontextmanager
async def ready_line(served: Gateway, device: Enrolled, **options: Any) -> AsyncIterator[Line]:
    """A socket on which the device has proven itself; the frame `ready` is already taken."""
    async with line(served, device.gateway_url, **options) as opened:
        ready = await authenticate(opened, device)
        assert ready["type"] == "ready", ready
        yield opened


async def authenticate(opened: Line, device: Enrolled, **changes: Any) -> dict[str, Any]:
    """Answer the challenge; `changes` make the proof wrong. The gateway's answer."""
    challenge = await opened.receive()
    assert challenge["type"] == "challenge"
    token = device.gateway_proof(**{"nonce": challenge["nonce"], **changes})
    return await opened.ask({"type": "authenticate", "token": token})
