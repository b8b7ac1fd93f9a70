"""The gateway process: `python -m config.gateway --host 127.0.0.1 --port 8001`."""

from __future__ import annotations

import argparse
from typing import Any

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from engine.keys.material import forbid_core_dumps

FRAME_BYTES_MAX = 65_536
"""Above what the consumer refuses with a word of its own; what is longer is not even kept in memory."""
SHUTDOWN_WITHIN_S = 4


class SocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's, which also lets go of peers that have stopped reading.

    uvicorn closes a transport by flushing it first. A peer that does not read keeps that from ever
    ending, and with it the socket and its buffers.
    """

    async def run_asgi(self) -> None:
        """Serve the socket; afterwards drop the connection if nothing can be written to it."""
        await super().run_asgi()
        if not self.writable.is_set():
            self.transport.abort()


def configuration(application: Any = "config.asgi:application", **options: Any) -> uvicorn.Config:
    """How the gateway is served. `options` are uvicorn's (host, port, log_level ...)."""
    settings: dict[str, Any] = {
        "ws": SocketProtocol,
        "ws_max_size": FRAME_BYTES_MAX,
        # Silence is judged by the consumer, which also sees the frames.
        "ws_ping_interval": None,
        # Every open compressor costs tens of kilobytes, and probes do not compress.
        "ws_per_message_deflate": False,
        "lifespan": "on",
        "timeout_graceful_shutdown": SHUTDOWN_WITHIN_S,
        "log_config": None,
        "access_log": False,
        **options,
    }
    return uvicorn.Config(application, **settings)


def main() -> None:
    """Serve until a signal says otherwise."""
    # This process opens the secrets tree.
    forbid_core_dumps()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    arguments = parser.parse_args()
    uvicorn.Server(configuration(host=arguments.host, port=arguments.port)).run()


if __name__ == "__main__":
    main()
