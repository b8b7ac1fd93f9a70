"""Stripe's webhook signature: https://docs.stripe.com/webhooks#verify-manually."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

from tenants.payments.adapters.base import BadSignature

TOLERANCE_S = 300


def verify(*, body: bytes, header: str, secrets: Iterable[str], now: datetime) -> None:
    """Check the raw bytes against ``Stripe-Signature``; any of ``secrets`` may have signed.

    Raises BadSignature for a wrong signature and for a timestamp more than 300 s before or behind ``now``.
    """
    pairs = [item.partition("=")[::2] for item in header.split(",") if "=" in item]
    timestamps = [value.strip() for name, value in pairs if name.strip() == "t"]
    signatures = [value.strip() for name, value in pairs if name.strip() == "v1"]
    if len(timestamps) != 1 or not (timestamps[0].isascii() and timestamps[0].isdigit()) or len(timestamps[0]) > 12:
        raise BadSignature("the header has no timestamp")
    if abs(now.timestamp() - int(timestamps[0])) > TOLERANCE_S:
        raise BadSignature("the timestamp is too far from now")
    signed = timestamps[0].encode() + b"." + body
    for secret in secrets:
        expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode()
        if any(hmac.compare_digest(expected, candidate.encode()) for candidate in signatures):
            return
    raise BadSignature("no signature matches")
