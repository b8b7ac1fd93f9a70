"""What the webhooks app reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tenants.events.events import Event


@dataclass(frozen=True, kw_only=True)
class WebhookEndpointDisabled(Event):
    """An endpoint gets no more events: it failed for days, or answered 410 Gone."""

    type: ClassVar[str] = "webhook_endpoint.disabled"

    webhook_endpoint: str
    reason: str
