from __future__ import annotations

from django.apps import AppConfig


class DevicesConfig(AppConfig):
    """Terminals, readers and locks: how they are enrolled, and the gateway that they talk to."""

    name = "tenants.devices"
    label = "devices"

    def ready(self) -> None:
        """Tell access, which lies below, where devices stand."""
        from tenants.access.services import register_device_lookup
        from tenants.devices.selectors import locations

        register_device_lookup(locations)
