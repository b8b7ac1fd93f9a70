"""Verifying webhooks (https://www.standardwebhooks.com)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import standardwebhooks

from keystead._errors import SignatureError


class Webhook:
    """Verifies the deliveries of one endpoint.

        event = Webhook("whsec_...").verify(body, headers)

    `body` is the raw body, byte for byte. Raises SignatureError for a wrong signature and for a
    delivery that is more than five minutes old. Answer 2xx at once; the same event may come again.
    """

    def __init__(self, secret: str) -> None:
        self._verifier = standardwebhooks.Webhook(secret)

    def verify(self, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """The event."""
        lower = {name.lower(): value for name, value in headers.items()}
        try:
            self._verifier.verify(body, lower)
        except standardwebhooks.WebhookVerificationError as error:
            raise SignatureError(str(error)) from error
        event: dict[str, Any] = json.loads(body)
        return event
