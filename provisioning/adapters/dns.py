"""What DNS says: TXT records, from the name servers in the settings or the system's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import dns.exception
import dns.nameserver
import dns.resolver
from django.conf import settings

from engine.errors import DomainError

_WITHIN_S = 5.0


class DnsUnavailableError(DomainError):
    """No name server gave an answer, so nothing is known."""

    code = "dns_unavailable"
    status = 503
    title = "DNS did not answer"


class TxtLookup(Protocol):
    """The one question that proving a domain needs."""

    def __call__(self, name: str) -> list[str]:
        """The texts at a name, empty when there are none. Raises DnsUnavailableError."""


def resolver() -> TxtLookup:
    """A look-up with the name servers of this platform."""
    return DnsResolver(settings.DNS_SERVERS)


class DnsResolver:
    """Asks over UDP, and over TCP where an answer does not fit."""

    def __init__(self, servers: Sequence[tuple[str, int]] = ()) -> None:
        """servers: addresses and ports; none for those of the system."""
        self._servers = servers

    def __call__(self, name: str) -> list[str]:
        """The TXT records of `name`. An alias is followed, as every resolver does."""
        try:
            asked = dns.resolver.Resolver(configure=not self._servers)
            if self._servers:
                asked.nameservers = [dns.nameserver.Do53Nameserver(*server) for server in self._servers]
            # The name is complete: the system's search list must not lead anywhere else.
            found = asked.resolve(f"{name}.", "TXT", lifetime=_WITHIN_S, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as error:
            raise DnsUnavailableError("Nothing is known about this name now; try again.") from error
        return [b"".join(record.strings).decode("utf-8", "replace") for record in found]
