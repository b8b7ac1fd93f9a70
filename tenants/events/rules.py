"""How an event is written down. No Django."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from engine import canonical_json
from engine.chain.rules import moment

API_VERSION = "2026-11-01"
"""The version that new events are rendered in, and that a webhook endpoint pins."""

API_VERSIONS = (API_VERSION,)
BODY_BYTES_MAX = 65_536


def render(
    *,
    type: str,  # noqa: A002  # the member's name
    schema_version: int,
    data: Mapping[str, Any],
    event_id: str,
    organization_id: str,
    created_at: datetime,
) -> str:
    """An event's body, once and for all: what the API shows and webhooks deliver, byte for byte."""
    envelope: dict[str, Any] = {
        "id": event_id,
        "type": type,
        "api_version": API_VERSION,
        "schema_version": schema_version,
        "organization": organization_id,
        "created_at": moment(created_at),
        "data": data,
    }
    return canonical_json.encode(envelope).decode()
