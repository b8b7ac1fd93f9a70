"""Signatures, schedules, addresses: what webhooks do, without a database or a socket. No Django.

Signatures follow the Standard Webhooks specification 1.0.0 (standardwebhooks.com).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from engine import addresses

SECRET_PREFIX = "whsec_"  # noqa: S105  # the specification's prefix, not a secret
SECRET_BYTES = 32

URL_CHARACTERS_MAX = 2000
EVENT_TYPES_MAX = 100
ALL_EVENTS = "*"

ATTEMPTS_MAX = 13
_FIRST_RETRY_SECONDS = 5.0
_RETRY_FACTOR = 5.0
_RETRY_CAP_SECONDS = 12 * 3600.0

BREAKER_FAILURES = 5
_BREAKER_BASE_SECONDS = 30.0
_BREAKER_CAP_SECONDS = 3600.0
PROBE_SECONDS = 60.0
DISABLE_AFTER = timedelta(days=5)
DISABLE_FAILURES = 20

_EVENT_TYPE = re.compile(r"(\*|[a-z_]+(\.[a-z_]+)+|[a-z_]+(\.[a-z_]+)*\.\*)\Z")
_GONE = 410


class InvalidUrl(ValueError):
    """The URL cannot be delivered to; the text says why, in words for the caller."""


def secret_text(secret: bytes) -> str:
    """A secret as receivers configure it: ``whsec_`` and base64."""
    return SECRET_PREFIX + base64.b64encode(secret).decode("ascii")


def sign(*, secrets: Iterable[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The ``webhook-signature`` header: one v1 signature per secret, so that either side may rotate."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    macs = [hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets]
    return " ".join("v1," + base64.b64encode(mac).decode("ascii") for mac in macs)


def wants(event_types: Sequence[str], event_type: str) -> bool:
    """Whether an endpoint that subscribes to ``event_types`` gets events of ``event_type``.

    A subscription is a type, ``*`` for everything, or ``payment.*`` for all below a noun.
    """
    return any(
        wanted in (ALL_EVENTS, event_type) or (wanted.endswith(".*") and event_type.startswith(wanted[:-1]))
        for wanted in event_types
    )


def is_subscription(text: str) -> bool:
    """Whether ``text`` can stand in an endpoint's list of event types."""
    return len(text) <= 100 and _EVENT_TYPE.match(text) is not None


def check_url(url: str, *, allow_private: bool) -> str:
    """The URL, if it can be an endpoint's; raises InvalidUrl.

    What the host resolves to is checked when a delivery connects, because it can change any time; an
    address written into the URL is checked here as well, for an early answer.
    """
    if len(url) > URL_CHARACTERS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidUrl(f"A URL has at most {URL_CHARACTERS_MAX} printable ASCII characters.")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidUrl("This is not a URL.") from None
    if parts.scheme not in (("https", "http") if allow_private else ("https",)):
        raise InvalidUrl("A URL begins with https://.")
    if not host:
        raise InvalidUrl("A URL names a host.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise InvalidUrl("A URL has no user, password or fragment.")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return url
    if not allow_private and not addresses.is_public(address):
        raise InvalidUrl("This address is not on the public internet.")
    return url


def is_success(status: int) -> bool:
    """Whether the receiver took the delivery. A redirect is a failure: it is never followed."""
    return 200 <= status < 300


def is_gone(status: int) -> bool:
    """Whether the receiver asks to be left alone for ever (Standard Webhooks: 410)."""
    return status == _GONE


def retry_delay(*, attempt: int, fraction: float) -> timedelta | None:
    """How long after failed attempt ``attempt`` (from 1) the next one comes; None after the last.

    5 s, 25 s, 2 min, 10 min, 52 min, 4 h, then 12 h: about three and a half days. ``fraction`` (0..1,
    random) adds up to a fifth, so that a receiver that comes back is not hit by everything at once.
    """
    if attempt >= ATTEMPTS_MAX:
        return None
    seconds = min(_RETRY_CAP_SECONDS, _FIRST_RETRY_SECONDS * _RETRY_FACTOR ** (attempt - 1))
    return timedelta(seconds=seconds * (1 + fraction / 5))


def breaker_pause(failures: int) -> timedelta | None:
    """How long an endpoint is left alone after ``failures`` failures in a row; None for not yet."""
    if failures < BREAKER_FAILURES:
        return None
    doublings = min(failures - BREAKER_FAILURES, 16)
    return timedelta(seconds=min(_BREAKER_CAP_SECONDS, _BREAKER_BASE_SECONDS * 2**doublings))


def is_hopeless(*, failures: int, failing_since: datetime, now: datetime) -> bool:
    """Whether an endpoint has failed for so long that it is disabled."""
    return failures >= DISABLE_FAILURES and now - failing_since >= DISABLE_AFTER
