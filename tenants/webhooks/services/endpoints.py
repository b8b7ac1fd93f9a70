"""Endpoints and their secrets."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from engine.clock import Clock, utc_now
from engine.errors import Conflict, InvalidInput, NotFound
from engine.principals import Principal
from tenants.audit import services as audit
from tenants.events.rules import API_VERSION, API_VERSIONS
from tenants.keyring import services as keyring
from tenants.webhooks import rules
from tenants.webhooks.models import DisabledReason, Endpoint, EndpointStatus, Secret

ENDPOINTS_MAX = 50
SECRET_PURPOSE = "webhooks.secret"  # noqa: S105  # what the secret is for, not the secret
DEFAULT_OVERLAP = timedelta(hours=24)

RandomBytes = Callable[[int], bytes]


class TooManyEndpoints(Conflict):
    """The organization has as many endpoints as it can have."""

    code = "too_many_webhook_endpoints"
    title = f"An organization has at most {ENDPOINTS_MAX} webhook endpoints"


class InvalidEndpoint(InvalidInput):
    """The URL, the event types or the version cannot be used; ``field`` says which."""


@dataclass(frozen=True, slots=True)
class WithSecret:
    """An endpoint with its newest secret (``whsec_...``), which is never shown again."""

    endpoint: Endpoint
    secret: str = field(repr=False)


def create_endpoint(
    *,
    url: str,
    event_types: Sequence[str],
    by: Principal,
    description: str = "",
    api_version: str = API_VERSION,
    clock: Clock = utc_now,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> WithSecret:
    """Make an endpoint that gets the events to come. Raises InvalidEndpoint or TooManyEndpoints."""
    _check(url=url, event_types=event_types, api_version=api_version)
    now = clock()
    with transaction.atomic():
        if Endpoint.objects.existing().count() >= ENDPOINTS_MAX:
            raise TooManyEndpoints
        endpoint = Endpoint.objects.create(
            url=url,
            description=description,
            event_types=list(dict.fromkeys(event_types)),
            api_version=api_version,
            created_at=now,
            updated_at=now,
        )
        secret = _add_secret(endpoint, clock=clock, random_bytes=random_bytes)
        audit.write(
            action="webhook_endpoint.create",
            actor=by,
            resource=endpoint.public_id,
            detail={"url": url, "event_types": endpoint.event_types},
            clock=clock,
        )
    return WithSecret(endpoint, secret)


def update_endpoint(
    *,
    endpoint_id: UUID,
    by: Principal,
    url: str | None = None,
    event_types: Sequence[str] | None = None,
    description: str | None = None,
    enabled: bool | None = None,
    check: Callable[[Endpoint], None] = lambda endpoint: None,
    clock: Clock = utc_now,
) -> Endpoint:
    """Change what is given. Enabling forgets past failures. ``check`` sees the endpoint under its lock
    and may raise. Raises NotFound or InvalidEndpoint.
    """
    _check(url=url, event_types=event_types)
    with transaction.atomic():
        endpoint = locked(endpoint_id)
        check(endpoint)
        if url is not None:
            endpoint.url = url
        if event_types is not None:
            endpoint.event_types = list(dict.fromkeys(event_types))
        if description is not None:
            endpoint.description = description
        if enabled is True:
            endpoint.status, endpoint.disabled_reason = EndpointStatus.ENABLED, ""
            endpoint.failures, endpoint.failing_since, endpoint.paused_until = 0, None, None
        elif enabled is False:
            endpoint.status = EndpointStatus.DISABLED
            endpoint.disabled_reason = DisabledReason.REQUESTED
        endpoint.updated_at = clock()
        endpoint.save()
        audit.write(
            action="webhook_endpoint.update",
            actor=by,
            resource=endpoint.public_id,
            detail={"url": endpoint.url, "event_types": endpoint.event_types, "status": endpoint.status},
            clock=clock,
        )
    return endpoint


def delete_endpoint(*, endpoint_id: UUID, by: Principal, clock: Clock = utc_now) -> None:
    """Take an endpoint away for good. Its deliveries stay in the log; its secrets do not. Raises NotFound."""
    with transaction.atomic():
        endpoint = locked(endpoint_id)
        endpoint.status = EndpointStatus.DELETED
        endpoint.updated_at = clock()
        endpoint.save()
        endpoint.secrets.all().delete()
        audit.write(action="webhook_endpoint.delete", actor=by, resource=endpoint.public_id, clock=clock)


def rotate_secret(
    *,
    endpoint_id: UUID,
    by: Principal,
    overlap: timedelta = DEFAULT_OVERLAP,
    clock: Clock = utc_now,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> WithSecret:
    """Add a secret. The ones before sign as well until ``overlap`` has passed. Raises NotFound."""
    now = clock()
    with transaction.atomic():
        endpoint = locked(endpoint_id)
        endpoint.secrets.filter(expires_at__lte=now).delete()
        endpoint.secrets.filter(expires_at__isnull=True).update(expires_at=now + overlap)
        secret = _add_secret(endpoint, clock=clock, random_bytes=random_bytes)
        audit.write(
            action="webhook_endpoint.rotate_secret",
            actor=by,
            resource=endpoint.public_id,
            detail={"overlap_seconds": round(overlap.total_seconds())},
            clock=clock,
        )
    return WithSecret(endpoint, secret)


def valid_secrets(endpoint: Endpoint, *, clock: Clock = utc_now) -> list[bytes]:
    """The secrets that sign now, newest first."""
    now = clock()
    return [
        keyring.open_secret(purpose_name=SECRET_PURPOSE, record_id=secret.public_id, sealed=bytes(secret.sealed))
        for secret in endpoint.secrets.order_by("-id")
        if secret.expires_at is None or secret.expires_at > now
    ]


def locked(endpoint_id: UUID) -> Endpoint:
    """The endpoint under a row lock. Raises NotFound."""
    endpoint = Endpoint.objects.existing().select_for_update().filter(id=endpoint_id).first()
    if endpoint is None:
        raise NotFound("There is no such webhook endpoint.")
    return endpoint


def _add_secret(endpoint: Endpoint, *, clock: Clock, random_bytes: RandomBytes) -> str:
    plaintext = random_bytes(rules.SECRET_BYTES)
    secret = Secret(endpoint=endpoint, created_at=clock())
    secret.sealed = keyring.seal_secret(purpose_name=SECRET_PURPOSE, record_id=secret.public_id, plaintext=plaintext)
    secret.save(force_insert=True)
    return rules.secret_text(plaintext)


def _check(*, url: str | None, event_types: Sequence[str] | None, api_version: str | None = None) -> None:
    if url is not None:
        try:
            rules.check_url(url, allow_private=settings.WEBHOOK_ALLOW_PRIVATE)
        except rules.InvalidUrl as error:
            raise InvalidEndpoint(str(error), field="url") from None
    if event_types is not None:
        if not 1 <= len(event_types) <= rules.EVENT_TYPES_MAX:
            raise InvalidEndpoint(f"Name 1 to {rules.EVENT_TYPES_MAX} event types, or *.", field="event_types")
        for position, event_type in enumerate(event_types):
            if not rules.is_subscription(event_type):
                raise InvalidEndpoint(
                    "An event type looks like payment.captured, payment.* or *.", field=f"event_types.{position}"
                )
    if api_version is not None and api_version not in API_VERSIONS:
        raise InvalidEndpoint(f"The versions are {', '.join(API_VERSIONS)}.", field="api_version")
