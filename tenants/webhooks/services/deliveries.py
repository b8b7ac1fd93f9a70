"""Deliveries: one per event and endpoint, tried until it arrives or there is no more hope."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from prometheus_client import Counter, Histogram

from engine import ids, outbox
from engine.clock import Clock, utc_now
from engine.errors import Conflict, NotFound
from engine.principals import SYSTEM, Principal
from tenants.audit import services as audit
from tenants.events import selectors as event_selectors
from tenants.events import services as events
from tenants.webhooks import rules
from tenants.webhooks.adapters import http
from tenants.webhooks.events import WebhookEndpointDisabled
from tenants.webhooks.models import (
    RESPONSE_CHARACTERS_MAX,
    Attempt,
    Delivery,
    DeliveryState,
    DisabledReason,
    Endpoint,
    EndpointStatus,
)
from tenants.webhooks.services.endpoints import valid_secrets

MESSAGE = "webhooks.deliver"
USER_AGENT = "Keystead-Webhooks/1"

ATTEMPTS = Counter("keystead_webhook_attempts", "Webhook requests by their outcome", ["outcome"])
DURATION = Histogram("keystead_webhook_duration_seconds", "Time that receivers took to answer")

Fraction = Callable[[], float]


class EndpointNotEnabled(Conflict):
    """The endpoint is disabled or deleted: enable it first."""

    code = "webhook_endpoint_not_enabled"
    title = "The webhook endpoint is not enabled"


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one request came to."""

    status: int | None
    error: str
    text: str
    duration_ms: int

    @property
    def delivered(self) -> bool:
        return self.status is not None and rules.is_success(self.status)

    @property
    def gone(self) -> bool:
        return self.status is not None and rules.is_gone(self.status)


def fan_out(batch: Sequence[events.SealedEvent]) -> None:
    """Make the deliveries of freshly sealed events, in the transaction that seals them."""
    endpoints = list(Endpoint.objects.enabled())
    deliveries = [
        Delivery(endpoint=endpoint, event_id=event.id, event_type=event.type, sequence=event.sequence)
        for event in batch
        for endpoint in endpoints
        if rules.wants(endpoint.event_types, event.type)
    ]
    Delivery.objects.bulk_create(deliveries)
    for delivery in deliveries:
        _send(delivery)


def deliver(
    *,
    delivery_id: UUID,
    attempt: int,
    clock: Clock = utc_now,
    fraction: Fraction = random.random,
) -> None:
    """Make attempt number ``attempt`` of a delivery, unless it was made or is no longer wanted.

    The request is made outside any transaction; a crash before its outcome is written repeats it, so a
    receiver sees each event at least once, always under the same ``webhook-id``.

    Raises engine.outbox.Postpone while the endpoint's breaker keeps it alone.
    """
    delivery = Delivery.objects.select_related("endpoint").filter(id=delivery_id).first()
    if delivery is None or delivery.state != DeliveryState.PENDING or delivery.attempts != attempt - 1:
        return
    if delivery.endpoint.status != EndpointStatus.ENABLED:
        Delivery.objects.filter(id=delivery.id, state=DeliveryState.PENDING).update(
            state=DeliveryState.CANCELLED, next_attempt_at=None
        )
        return
    _pass_breaker(delivery.endpoint, now=clock(), fraction=fraction)
    outcome = _request(delivery, clock=clock)
    _settle(delivery.id, outcome, clock=clock, fraction=fraction)


def replay(*, delivery_id: UUID, by: Principal, clock: Clock = utc_now) -> Delivery:
    """Deliver once more, now, with a fresh schedule of retries. Raises NotFound or EndpointNotEnabled."""
    with transaction.atomic():
        delivery = (
            Delivery.objects.select_for_update(of=("self",)).select_related("endpoint").filter(id=delivery_id).first()
        )
        if delivery is None:
            raise NotFound("There is no such delivery.")
        if delivery.endpoint.status != EndpointStatus.ENABLED:
            raise EndpointNotEnabled
        delivery.state = DeliveryState.PENDING
        delivery.attempts_before = delivery.attempts
        delivery.next_attempt_at = clock()
        delivery.save()
        _send(delivery)
        audit.write(action="webhook_delivery.replay", actor=by, resource=delivery.public_id, clock=clock)
    return delivery


def hold_pending() -> int:
    """After a restore: send nothing that was on its way at the backup; returns how many deliveries that are.

    They may have arrived since. A receiver that missed one asks for the events since the last that it has, or an
    administrator replays the delivery.
    """
    pending = Delivery.objects.filter(state=DeliveryState.PENDING)
    return pending.update(state=DeliveryState.CANCELLED, next_attempt_at=None)


def _send(delivery: Delivery, *, available_at: datetime | None = None) -> None:
    outbox.send(
        name=MESSAGE,
        payload={"delivery": delivery.public_id, "attempt": str(delivery.attempts + 1)},
        available_at=available_at,
    )


def _pass_breaker(endpoint: Endpoint, *, now: datetime, fraction: Fraction) -> None:
    """Go ahead when the breaker is shut, or as the one probe when its pause is over; else Postpone."""
    until = endpoint.paused_until
    if until is None:
        return
    spread = timedelta(seconds=rules.PROBE_SECONDS * fraction())
    if until > now:
        raise outbox.Postpone(until - now + spread, "the endpoint's breaker is open")
    probe_until = now + timedelta(seconds=rules.PROBE_SECONDS)
    taken = Endpoint.objects.filter(id=endpoint.id, paused_until=until).update(paused_until=probe_until)
    if not taken:
        raise outbox.Postpone(spread, "another delivery is the probe")


def _request(delivery: Delivery, *, clock: Clock) -> _Outcome:
    body = event_selectors.bodies([delivery.event_id])[delivery.event_id].encode()
    message_id = ids.encode("evt", delivery.event_id)
    timestamp = int(clock().timestamp())
    signature = rules.sign(
        secrets=valid_secrets(delivery.endpoint, clock=clock),
        message_id=message_id,
        timestamp=timestamp,
        body=body,
    )
    headers = {
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": USER_AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
        "keystead-sequence": str(delivery.sequence),
        "keystead-delivery": delivery.public_id,
    }
    try:
        answer = http.post(
            url=delivery.endpoint.url,
            body=body,
            headers=headers,
            allow_private=settings.WEBHOOK_ALLOW_PRIVATE,
        )
    except http.NotDelivered as failure:
        outcome = _Outcome(None, failure.error, "", failure.duration_ms)
    else:
        error = "" if rules.is_success(answer.status) else "refused"
        outcome = _Outcome(answer.status, error, answer.text, answer.duration_ms)
    ATTEMPTS.labels(outcome=outcome.error or "delivered").inc()
    DURATION.observe(outcome.duration_ms / 1000)
    return outcome


def _settle(delivery_id: UUID, outcome: _Outcome, *, clock: Clock, fraction: Fraction) -> None:
    """Write down what came of a request, and what comes next, in one transaction."""
    now = clock()
    with transaction.atomic():
        delivery = Delivery.objects.select_for_update().get(id=delivery_id)
        delivery.attempts += 1
        Attempt.objects.create(
            delivery=delivery,
            number=delivery.attempts,
            status=outcome.status,
            error=outcome.error,
            duration_ms=outcome.duration_ms,
            response=outcome.text[:RESPONSE_CHARACTERS_MAX],
            created_at=now,
        )
        if outcome.delivered:
            delivery.state = DeliveryState.DELIVERED
            delivery.delivered_at = now
            delivery.next_attempt_at = None
            _forgive(delivery.endpoint_id)
        elif delivery.state == DeliveryState.PENDING:
            still_enabled = _blame(delivery.endpoint_id, outcome, now=now, clock=clock)
            _plan_next(delivery, still_enabled=still_enabled, now=now, fraction=fraction)
        delivery.save()


def _plan_next(delivery: Delivery, *, still_enabled: bool, now: datetime, fraction: Fraction) -> None:
    delay = rules.retry_delay(attempt=delivery.attempts - delivery.attempts_before, fraction=fraction())
    if not still_enabled:
        delivery.state, delivery.next_attempt_at = DeliveryState.CANCELLED, None
    elif delay is None:
        delivery.state, delivery.next_attempt_at = DeliveryState.FAILED, None
    else:
        delivery.next_attempt_at = now + delay
        _send(delivery, available_at=delivery.next_attempt_at)


def _forgive(endpoint_id: UUID) -> None:
    # The condition keeps a healthy endpoint's row unwritten, however much is delivered to it.
    Endpoint.objects.filter(id=endpoint_id, failures__gt=0).update(failures=0, failing_since=None, paused_until=None)


def _blame(endpoint_id: UUID, outcome: _Outcome, *, now: datetime, clock: Clock) -> bool:
    """Count a failure against the endpoint; False when that was one too many."""
    endpoint = Endpoint.objects.select_for_update().get(id=endpoint_id)
    endpoint.failures += 1
    endpoint.failing_since = endpoint.failing_since or now
    pause = rules.breaker_pause(endpoint.failures)
    endpoint.paused_until = now + pause if pause else None
    hopeless = rules.is_hopeless(failures=endpoint.failures, failing_since=endpoint.failing_since, now=now)
    if endpoint.status == EndpointStatus.ENABLED and (outcome.gone or hopeless):
        endpoint.status = EndpointStatus.DISABLED
        endpoint.disabled_reason = DisabledReason.GONE if outcome.gone else DisabledReason.FAILING
        events.record(
            event=WebhookEndpointDisabled(webhook_endpoint=endpoint.public_id, reason=endpoint.disabled_reason),
            clock=clock,
        )
        audit.write(
            action="webhook_endpoint.disable",
            actor=SYSTEM,
            resource=endpoint.public_id,
            detail={"reason": endpoint.disabled_reason},
            clock=clock,
        )
    endpoint.save()
    return endpoint.status == EndpointStatus.ENABLED
