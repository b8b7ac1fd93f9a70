"""The devices' end of the platform: sockets, proofs, frames, commands. See docs/gateway.md."""

from tenants.devices.gateway import handlers

__all__ = ["handlers"]
