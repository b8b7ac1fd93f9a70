"""How an event is written down. No Django."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from engine import canonical_json
from engine.chain.rules import moment
from tenants.events.events import Event

API_VERSION = "2026-11-01"
"""The version that new events are rendered in, and that a webhook endpoint pins."""

API_VERSIONS = (API_VERSION,)
BODY_BYTES_MAX = 65_536


def render(event: Event, *, event_id: str, organization_id: str, created_at: datetime) -> str:
    """The event's body, once and for all: what the API shows and webhooks deliver, byte for byte."""
    envelope: dict[str, Any] = {
        "id": event_id,
        "type": event.type,
        "api_version": API_VERSION,
        "schema_version": event.schema_version,
        "organization": organization_id,
        "created_at": moment(created_at),
        "data": event.body(),
    }
    return canonical_json.encode(envelope).decode()
