"""Webhooks of providers: checked over the raw bytes, stored once, answered, then processed by a worker."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from uuid import UUID

from django.db import transaction

from engine import ids, outbox
from engine.clock import Clock, utc_now
from engine.errors import DomainError, NotFound
from tenants.payments import rules
from tenants.payments.adapters.base import BadSignature, Finding, Notice, OperationFinding, Subject
from tenants.payments.models import Attempt, EventSource, ProviderAccount, ProviderEvent, Refund
from tenants.payments.rules import Fact, OperationState
from tenants.payments.services import locks, messages, settlement
from tenants.payments.services.accounts import open_account


class WebhookRefused(DomainError):
    """The signature does not verify, or is more than five minutes off."""

    code = "webhook_signature_invalid"
    status = 400
    title = "The webhook's signature does not verify"


def receive(
    *, provider: str, account_id: UUID, body: bytes, headers: Mapping[str, str], clock: Clock = utc_now
) -> ProviderEvent:
    """Store an event of a provider account, once however often it is delivered, and have it processed.

    ``headers`` has names in lower case. Raises NotFound and WebhookRefused.
    """
    account = ProviderAccount.objects.filter(id=account_id, provider=provider).first()
    if account is None:
        raise NotFound("There is no such provider account.")
    try:
        notice = open_account(account).read_notice(body=body, headers=headers, now=clock())
    except BadSignature as error:
        raise WebhookRefused(str(error)) from error
    with transaction.atomic():
        event, is_new = ProviderEvent.objects.get_or_create(
            provider_account=account,
            source=EventSource.WEBHOOK,
            source_id=notice.event_id[:200],
            kind=notice.kind[:64],
            defaults=_facts(notice) | {"body_sha256": hashlib.sha256(body).digest()},
        )
        if is_new:
            outbox.send(name=messages.PROVIDER_EVENT, payload={"event": str(event.id)})
    return event


def process(*, event_id: UUID, clock: Clock = utc_now) -> None:
    """Apply a stored event to the payment that it is about. Repeatable, in any order with others.

    Inside a transaction. An event that proves nothing, or that is not about a payment of ours, is left alone.
    """
    event = ProviderEvent.objects.select_related("provider_account").get(id=event_id)
    if event.subject == Subject.CHARGE:
        _process_charge(event, clock)
    elif event.subject == Subject.REFUND:
        _process_refund(event, clock)


def _process_charge(event: ProviderEvent, clock: Clock) -> None:
    fact = Fact(event.said)
    attempt = _attempt(event, event.reference)
    if attempt is None or fact in (Fact.UNDECIDED, Fact.PLACED):
        return
    payment = locks.payment(attempt.payment_id)
    attempt.refresh_from_db(fields=["status", "provider_reference"])
    finding = Finding(
        fact,
        reference=event.reference,
        amount_minor=event.amount_minor,
        currency=event.currency,
        code=event.code,
        elsewhere=event.elsewhere,
    )
    settlement.apply_charge(payment=payment, attempt=attempt, finding=finding, event=event, clock=clock)
    if attempt.status == rules.AttemptState.REFUSED:
        # Another account may have to be asked, or the payment to be given up.
        outbox.send(name=messages.ADVANCE, payload={"payment": str(payment.id)})


def _process_refund(event: ProviderEvent, clock: Clock) -> None:
    state = OperationState(event.said)
    refund = _refund(event)
    if refund is None or state is OperationState.UNKNOWN:
        return
    payment = locks.payment(refund.payment_id)
    refund.refresh_from_db()
    found = OperationFinding(
        state,
        reference=event.reference,
        amount_minor=event.amount_minor,
        currency=event.currency,
        code=event.code,
    )
    settlement.apply_operation(payment=payment, operation=refund, found=found, event=event, clock=clock)


def _attempt(event: ProviderEvent, reference: str) -> Attempt | None:
    """The attempt by what the provider calls it, else by the id that we gave the provider to carry."""
    attempts = Attempt.objects.select_related("provider_account").filter(provider_account=event.provider_account)
    found = attempts.filter(provider_reference=reference).first() if reference else None
    if found is None and event.attempt_id_claimed is not None:
        found = attempts.filter(id=event.attempt_id_claimed, provider_reference__isnull=True).first()
    return found


def _refund(event: ProviderEvent) -> Refund | None:
    ours = Refund.objects.select_related("attempt").filter(attempt__provider_account=event.provider_account)
    found = ours.filter(provider_reference=event.reference).first()
    if found is None and event.refund_id_claimed is not None:
        found = ours.filter(id=event.refund_id_claimed, provider_reference="").first()
    return found


def _facts(notice: Notice) -> dict[str, object]:
    found: Finding | OperationFinding | None = notice.charge or notice.refund
    facts: dict[str, object] = {
        "subject": notice.subject,
        "reference": notice.reference[:128],
        "charge_reference": notice.charge_reference[:128],
        "occurred_at": notice.occurred_at,
        "attempt_id_claimed": _claimed(Attempt.id_prefix, notice.owner.get("attempt", "")),
        "refund_id_claimed": _claimed(Refund.id_prefix, notice.owner.get("refund", "")),
    }
    if found is not None:
        facts |= {
            "said": found.fact if isinstance(found, Finding) else found.state,
            "amount_minor": found.amount_minor,
            "currency": found.currency[:3],
            "code": found.code,
            "elsewhere": isinstance(found, Finding) and found.elsewhere,
        }
    return facts


def _claimed(prefix: str, text: str) -> UUID | None:
    try:
        return ids.decode(prefix, text)
    except ids.InvalidId:
        return None
