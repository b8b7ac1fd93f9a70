"""Which addresses of the network are the public internet's. Imports no Django."""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


def is_public(address: IPAddress) -> bool:
    """Whether ``address`` is one of the public internet's, also inside its IPv6 disguises.

    Refuses private, loopback, link-local (and with it cloud metadata), multicast, shared, reserved and
    documentation ranges (IANA special-purpose registries, as Python's ipaddress knows them).
    """
    if isinstance(address, ipaddress.IPv6Address):
        hidden = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if hidden is None and any(address in network for network in _NAT64):
            hidden = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if hidden is not None:
            return is_public(hidden)
        if int(address) >> 32 == 0 or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved
