"""Servers on loopback that misbehave in one way each, byte for byte."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


def status(line: str, *headers: str) -> bytes:
    extra = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n{extra}\r\n".encode()


@dataclass
class Scripted:
    """One answer per request, the last one for ever; ``requests`` counts what arrived."""

    url: str
    answers: list[bytes | Callable[[socket.socket], None]]
    requests: list[bytes] = field(default_factory=list)

    def next(self) -> bytes | Callable[[socket.socket], None]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def cut(connection: socket.socket) -> None:
    """Close without a byte."""


def half(connection: socket.socket) -> None:
    """Promise more than is sent."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


def silence(seconds: float) -> Callable[[socket.socket], None]:
    return lambda connection: time.sleep(seconds)


def endless(connection: socket.socket) -> None:
    """An answer that does not end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    while True:
        connection.sendall(chunk)


@contextmanager
def scripted(*answers: bytes | Callable[[socket.socket], None]) -> Iterator[Scripted]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Scripted(f"http://127.0.0.1:{listener.getsockname()[1]}", list(answers))

    def serve(connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                part = connection.recv(65536)
                if not part:
                    return
                head += part
            server.requests.append(head)
            answer = server.next()
            try:
                connection.sendall(answer) if isinstance(answer, bytes) else answer(connection)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=5)
