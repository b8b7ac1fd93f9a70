"""Verbs of webhooks: endpoints are managed, deliveries are made."""

from tenants.webhooks.services.deliveries import EndpointNotEnabled, deliver, fan_out, hold_pending, replay
from tenants.webhooks.services.endpoints import (
    InvalidEndpoint,
    TooManyEndpoints,
    WithSecret,
    create_endpoint,
    delete_endpoint,
    rotate_secret,
    update_endpoint,
)

__all__ = [
    "EndpointNotEnabled",
    "InvalidEndpoint",
    "TooManyEndpoints",
    "WithSecret",
    "create_endpoint",
    "delete_endpoint",
    "deliver",
    "fan_out",
    "hold_pending",
    "replay",
    "rotate_secret",
    "update_endpoint",
]
