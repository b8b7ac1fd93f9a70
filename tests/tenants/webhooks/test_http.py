"""The request itself, against real sockets: what it refuses, and how long it waits."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import pytest

from tenants.webhooks.adapters import http


def post(url, *, allow_private=True):
    return http.post(url=url, body=b"{}", headers={"content-type": "application/json"}, allow_private=allow_private)


@contextmanager
def server(talk):
    """A TCP server whose one conversation is ``talk(connection)``."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            try:
                talk(connection)
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"]
)
def test_inside_addresses_are_refused_when_connecting(receiver, host):
    """Also the spellings that only the resolver understands: the check is on what it answers."""
    port = receiver.url.split(":")[2].split("/")[0]
    with pytest.raises(http.NotDelivered) as caught:
        post(f"http://{host}:{port}/", allow_private=False)
    assert caught.value.error in ("address_refused", "not_resolved")
    assert receiver.received == []


def test_a_name_that_resolves_inside_is_refused(receiver, monkeypatch):
    """DNS rebinding: a public name, a private address. What was checked is what is connected to."""
    port = int(receiver.url.split(":")[2].split("/")[0])
    lookups = []

    def resolve(host, *arguments, **options):
        lookups.append(host)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(http.NotDelivered) as caught:
        post(f"http://rebind.example:{port}/", allow_private=False)
    assert caught.value.error == "address_refused"
    assert lookups == ["rebind.example"]


def test_the_planted_hole_is_noticed(receiver):
    """With the check off, the same request arrives: the check is what refused it."""
    post(receiver.url, allow_private=True)
    assert len(receiver.received) == 1


def test_an_unknown_name():
    with pytest.raises(http.NotDelivered) as caught:
        post("http://nobody.invalid/")
    assert caught.value.error == "not_resolved"


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(http.NotDelivered) as caught:
        post(f"http://127.0.0.1:{port}/")
    assert caught.value.error == "not_connected"


def test_silence_times_out(monkeypatch):
    monkeypatch.setattr(http, "TOTAL_TIMEOUT_SECONDS", 0.3)
    done = threading.Event()
    with server(lambda connection: done.wait(5)) as url:
        with pytest.raises(http.NotDelivered) as caught:
            post(url)
        done.set()
    assert caught.value.error == "timeout"


def test_dripping_does_not_hold_the_worker(monkeypatch):
    """Each byte arrives well within a read timeout; the deadline counts all of them."""
    monkeypatch.setattr(http, "TOTAL_TIMEOUT_SECONDS", 0.5)
    done = threading.Event()

    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not done.wait(0.05):
            connection.sendall(b"x: y\r\n")

    with server(drip) as url:
        with pytest.raises(http.NotDelivered) as caught:
            post(url)
        done.set()
    assert caught.value.error == "timeout"


def test_an_endless_answer_is_cut():
    def talk(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1000\r\n" + b"a" * 4096 + b"\r\n")

    with server(talk) as url:
        answer = post(url)
    assert answer.status == 200
    assert len(answer.text) == http.RESPONSE_BYTES_MAX


def test_a_compressed_answer_is_not_unfolded():
    import gzip

    bomb = gzip.compress(b"a" * 10_000_000)

    def talk(connection):
        head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(bomb)}\r\n\r\n"
        connection.sendall(head.encode() + bomb)

    with server(talk) as url:
        assert len(post(url).text) <= http.RESPONSE_BYTES_MAX


def test_garbage_is_a_broken_answer():
    with (
        server(lambda connection: connection.sendall(b"\x00\x01garbage\r\n\r\n")) as url,
        pytest.raises(http.NotDelivered) as caught,
    ):
        post(url)
    assert caught.value.error == "broken_answer"


def test_plain_http_behind_https_is_a_tls_failure(receiver):
    with pytest.raises(http.NotDelivered) as caught:
        post(receiver.url.replace("http://", "https://"))
    assert caught.value.error == "tls_failed"


def test_proxies_of_the_environment_are_ignored(receiver, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert post(receiver.url).status == 200
