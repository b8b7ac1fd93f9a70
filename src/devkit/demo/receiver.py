"""An organization's back office: a small HTTP server that keeps the webhooks it is sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import standardwebhooks


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery as it came."""

    headers: dict[str, str]
    body: bytes

    def verified(self, secret: str) -> dict[str, Any]:
        """The event, if the Standard Webhooks reference library accepts the signature; raises otherwise."""
        event: dict[str, Any] = standardwebhooks.Webhook(secret).verify(self.body, self.headers)
        return event


class Receiver:
    """Where deliveries arrive. `url` is what to register."""

    def __init__(self) -> None:
        self._arrived: list[Received] = []
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/webhooks"

    @property
    def arrived(self) -> list[Received]:
        with self._changed:
            return list(self._arrived)

    def wait_for(self, text: str, *, seconds: float = 30.0) -> Received | None:
        """The first delivery whose body contains `text`, None when none comes in time."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                for one in self._arrived:
                    if text.encode() in one.body:
                        return one
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)

    @contextmanager
    def listening(self) -> Iterator[Receiver]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # http.server's name
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(204)
                self.end_headers()
                with receiver._changed:  # the handler is part of the receiver
                    receiver._arrived.append(Received(headers, body))
                    receiver._changed.notify_all()

            def log_message(self, *_: object) -> None:
                """The story tells what arrived."""

        return Handler
