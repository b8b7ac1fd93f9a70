"""Bringing checkouts to their end: the payment, its outcome, and what was interrupted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction

from engine import ids, outbox
from engine.clock import Clock, utc_now
from engine.outbox import Postpone
from engine.principals import Principal
from tenants.access import services as access
from tenants.audit import services as audit
from tenants.checkouts import rules
from tenants.checkouts.events import (
    CheckoutApproved,
    CheckoutConfirmationRequired,
    CheckoutDeclined,
    CheckoutEvent,
    CheckoutExpired,
    CheckoutNotRecognised,
    CheckoutUnknown,
)
from tenants.checkouts.models import Checkout
from tenants.checkouts.rules import TERMINAL, Reason, State
from tenants.devices import services as devices
from tenants.events import services as events
from tenants.events.services import SealedEvent
from tenants.payments import services as payments

E = TypeVar("E", bound=CheckoutEvent)

PERMISSION = "checkout.create"
COMMAND = "checkout.updated"
_EVENTS: dict[State, type[CheckoutEvent]] = {
    State.APPROVED: CheckoutApproved,
    State.DECLINED: CheckoutDeclined,
    State.NOT_RECOGNISED: CheckoutNotRecognised,
    State.CONFIRMATION_REQUIRED: CheckoutConfirmationRequired,
    State.UNKNOWN: CheckoutUnknown,
    State.EXPIRED: CheckoutExpired,
}
_OUTCOMES: dict[str, tuple[State, str]] = {
    "captured": (State.APPROVED, ""),
    "authorized": (State.APPROVED, ""),
    "failed": (State.DECLINED, Reason.PAYMENT_REFUSED),
    "voided": (State.DECLINED, Reason.PAYMENT_REFUSED),
    "unknown": (State.UNKNOWN, ""),
    "needs_review": (State.UNKNOWN, Reason.PAYMENT_IN_REVIEW),
}
_SETTLED = frozenset({"payment.authorized", "payment.captured", "payment.failed", "payment.voided"})
LEASE = timedelta(seconds=8)
"""How long a checkout is left to whoever took it on. A person is waiting, so it is short: two who work on
the same one do no harm, because the decision and the payment have locks of their own."""
ABANDONED_AFTER = timedelta(seconds=30)
"""A device sends an unanswered frame again well within this; after it nobody waits for the answer."""
_PATIENCE_MIN = timedelta(seconds=5)
_PATIENCE_MAX = timedelta(minutes=10)


def locked(checkout_id: UUID) -> Checkout:
    """The row, locked in the current transaction, its confirmed checkout beside it."""
    return Checkout.objects.select_for_update(of=("self",)).select_related("confirms").get(id=checkout_id)


def take_over(*, checkout_id: UUID, clock: Clock = utc_now) -> tuple[Checkout, bool]:
    """The row, and whether the caller may work on it: not when it is over, nor while somebody does."""
    with transaction.atomic():
        row = locked(checkout_id)
        now = clock()
        if row.state in TERMINAL or row.worked_on_until > now:
            return row, False
        row.worked_on_until = now + LEASE
        row.save(update_fields=["worked_on_until"])
        return row, True


def let_go(checkout: Checkout, *, clock: Clock = utc_now) -> None:
    """Let the next one go on at once. Does nothing when somebody else already does."""
    Checkout.objects.filter(id=checkout.id, worked_on_until=checkout.worked_on_until).update(worked_on_until=clock())


def pay(*, checkout_id: UUID, clock: Clock = utc_now, tell_device: bool = False) -> Checkout:
    """Ask the provider, outside any transaction, and write down what became of it."""
    payment_id = Checkout.objects.values_list("payment_id", flat=True).get(id=checkout_id)
    if payment_id is None:
        raise RuntimeError("a checkout without a payment has nothing to pay")
    payment = payments.advance(payment_id=payment_id, clock=clock)
    outcome = _OUTCOMES.get(payment.status)
    with transaction.atomic():
        row = locked(checkout_id)
        if outcome is None or row.state in TERMINAL:
            return row
        state, reason = outcome
        if state == row.state:
            row.reason = reason
            row.save(update_fields=["reason"])
            return row
        finish(row, state=state, reason=reason, at=clock())
        if tell_device and state in TERMINAL:
            _tell_device(row)
    return row


def advance(*, checkout_id: UUID, clock: Clock = utc_now) -> None:
    """Take a checkout to its end, whoever began it. Raises Postpone while it is not there yet."""
    seen = Checkout.objects.get(id=checkout_id)
    left = seen.created_at + ABANDONED_AFTER - clock()
    if seen.state == State.RECEIVED and left > timedelta(0):
        raise Postpone(left, "the device may send it again")
    row, is_ours = take_over(checkout_id=checkout_id, clock=clock)
    if row.state in TERMINAL:
        return
    if not is_ours:
        raise Postpone(row.worked_on_until - clock(), "somebody is working on it")
    if row.state == State.RECEIVED:
        _expire(row, clock=clock)
        return
    row = pay(checkout_id=checkout_id, clock=clock, tell_device=True)
    if row.state not in TERMINAL:
        let_go(row, clock=clock)
        age = clock() - row.created_at
        patience = max(_PATIENCE_MIN, min(age / 2, _PATIENCE_MAX))
        raise Postpone(patience, "the payment is not settled yet")


def settle_restored(*, clock: Clock = utc_now) -> int:
    """After a restore: bring every checkout of the backup to its end; returns how many were under way.

    Nobody who stood there still waits. Where nobody had been recognised nobody is looked for again, and
    where a payment exists it decides.
    """
    with transaction.atomic():
        under_way = list(Checkout.objects.select_for_update(of=("self",)).exclude(state__in=sorted(TERMINAL)))
        for row in under_way:
            if row.state == State.RECEIVED:
                finish(row, state=State.EXPIRED, reason=Reason.INTERRUPTED, at=clock())
            else:
                outbox.send(name="checkouts.advance", payload={"checkout": str(row.id)})
    return len(under_way)


def follow_payments(batch: Sequence[SealedEvent]) -> None:
    """Look at the checkouts of payments that were settled, in the transaction that seals those events.

    Without it the checkouts would be finished as well, by their own messages, only later.
    """
    settled = [
        ids.decode("pay", json.loads(event.body)["data"]["payment"]) for event in batch if event.type in _SETTLED
    ]
    if not settled:
        return
    waiting = Checkout.objects.filter(payment_id__in=settled, finished_at=None)
    for checkout_id in waiting.values_list("id", flat=True):
        outbox.send(name="checkouts.advance", payload={"checkout": str(checkout_id)})


def finish(row: Checkout, *, state: State, reason: str, at: datetime) -> None:
    """Put a locked row into `state` with its audit entry and event. Saves every field."""
    rules.check_step(State(row.state), state)
    row.state = state
    row.reason = reason
    if state in TERMINAL:
        row.finished_at = at
        if state != State.APPROVED:
            access.give_back(source=row.public_id)
    row.save()
    audit.write(
        action=f"checkout.{state}",
        actor=principal_of(row),
        resource=row.public_id,
        detail=described(row),
        decision_id=row.grant_id,
        clock=lambda: at,
    )
    events.record(event=told(row, _EVENTS[state]), clock=lambda: at)


def principal_of(row: Checkout) -> Principal:
    """The device as an actor."""
    return Principal(kind="device", id=row.device_id)


def described(row: Checkout) -> dict[str, Any]:
    """What an auditor needs to understand the decision: figures and ids, nothing biometric."""
    return {
        "amount_minor": row.amount_minor,
        "currency": row.currency,
        "state": str(row.state),
        "reason": row.reason,
        "person": _text("per", row.person_id),
        "template": _text("tpl", row.template_id),
        "score": row.score,
        "runner_up_score": row.runner_up_score,
        "threshold": row.threshold,
        "gallery_size": row.gallery_size,
        "payment": _text("pay", row.payment_id),
        "policy_version": row.policy_version,
        "frame_sha256": bytes(row.frame_sha256).hex(),
    }


def told(row: Checkout, event: type[E]) -> E:
    """The row as an event."""
    return event(
        checkout=row.public_id,
        device=ids.encode("dev", row.device_id),
        site=ids.encode("site", row.site_id),
        amount_minor=row.amount_minor,
        currency=row.currency,
        reason=row.reason,
        person=_text("per", row.person_id),
        payment=_text("pay", row.payment_id),
    )


def _expire(row: Checkout, *, clock: Clock) -> None:
    with transaction.atomic():
        now = locked(row.id)
        # A device that sends its frame again may have come first.
        if now.state != State.RECEIVED or now.worked_on_until != row.worked_on_until:
            raise Postpone(_PATIENCE_MIN, "somebody has taken it over")
        finish(now, state=State.EXPIRED, reason=Reason.INTERRUPTED, at=clock())
        _tell_device(now)


def _tell_device(row: Checkout) -> None:
    """The device may have left with the question open: it is told when it comes back."""
    devices.enqueue(
        device_id=row.device_id,
        name=COMMAND,
        body={"checkout": row.public_id, "sequence": row.sequence, "status": str(row.state)},
    )


def _text(prefix: str, value: UUID | None) -> str | None:
    return ids.encode(prefix, value) if value is not None else None
