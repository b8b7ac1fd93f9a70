"""A small name server on loopback: UDP, TXT records, nothing else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


@dataclass
class NameServer:
    """`texts` may be changed while it answers; `broken` makes it say SERVFAIL."""

    address: tuple[str, int]
    texts: dict[str, list[str]] = field(default_factory=dict)
    broken: bool = False
    asked: list[str] = field(default_factory=list)

    def answer(self, wire: bytes) -> bytes:
        """The answer to one question."""
        query = dns.message.from_wire(wire)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True)
        self.asked.append(name)
        if self.broken:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif name not in self.texts or question.rdtype != dns.rdatatype.TXT:
            response.set_rcode(dns.rcode.NXDOMAIN)
        else:
            texts = [f'"{text}"' for text in self.texts[name]]
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "TXT", *texts))
        return response.to_wire()


@contextmanager
def running_name_server() -> Iterator[NameServer]:
    """Answer on a free port until the block ends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(0.1)
        server, stop = NameServer(listener.getsockname()), threading.Event()

        def serve() -> None:
            while not stop.is_set():
                try:
                    wire, sender = listener.recvfrom(4096)
                except TimeoutError:
                    continue
                listener.sendto(server.answer(wire), sender)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            stop.set()
            thread.join()
