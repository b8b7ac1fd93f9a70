"""The transaction that decides a checkout: who it is, whether that is enough, and the payment."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from engine.clock import Clock, utc_now
from tenants.access import services as access
from tenants.audit import services as audit
from tenants.checkouts import finishing, pins, policy, rules
from tenants.checkouts.events import CheckoutRecognised
from tenants.checkouts.models import Checkout
from tenants.checkouts.rules import Judgement, Reason, State
from tenants.devices import selectors as devices
from tenants.events import services as events
from tenants.identity import services as identity
from tenants.identity.adapters.matcher import Search
from tenants.identity.rules import Candidate
from tenants.payments import services as payments
from tenants.usage import services as usage

METRIC = "checkouts"
PURPOSES = {"identify", "pay"}


def decide(*, checkout: Checkout, found: Search, pin: str | None, clock: Clock = utc_now) -> Checkout:
    """Decide by what the matcher found. Everything that follows from it commits together, or not at all.

    `checkout` is the row as the caller took it on: when somebody else has taken it over since, theirs
    is the decision, and this call only answers it.
    """
    with transaction.atomic():
        row = finishing.locked(checkout.id)
        if row.state != State.RECEIVED or row.worked_on_until != checkout.worked_on_until:
            return row
        rows = policy.current_policy()
        judgement = rules.judge(
            candidates=found.candidates,
            gallery_size=found.gallery_size,
            matching=policy.matching(rows, modality=row.modality, model=row.model),
        )
        _note(row, found, judgement, at=clock)
        best = judgement.best
        if best is None or judgement.reason is not None:
            reason = judgement.reason or Reason.NO_CANDIDATE
            finishing.finish(row, state=State.NOT_RECOGNISED, reason=reason, at=clock())
            return row
        try:
            person = identity.confirm_candidate(candidate=best, purposes=PURPOSES)
        except identity.CandidateGone:
            finishing.finish(row, state=State.NOT_RECOGNISED, reason=Reason.PERSON_CHANGED, at=clock())
            return row
        row.person_id = person.id
        lacking = _lacking(row, best, pin=pin, rows=policy.as_rules(rows))
        if lacking is not None:
            state, reason = lacking
            finishing.finish(row, state=state, reason=reason, at=clock())
            return row
        if not _allowed(row, clock=clock):
            return row
        _make_payment(row, person_id=person.id, clock=clock)
        return row


def refuse_probe(*, checkout: Checkout, clock: Clock = utc_now) -> Checkout:
    """The matcher cannot compare the probe with anybody, for example because of its dimensions."""
    with transaction.atomic():
        row = finishing.locked(checkout.id)
        if row.state == State.RECEIVED and row.worked_on_until == checkout.worked_on_until:
            finishing.finish(row, state=State.NOT_RECOGNISED, reason=Reason.PROBE_NOT_COMPARABLE, at=clock())
        return row


def _note(row: Checkout, found: Search, judgement: Judgement, *, at: Clock) -> None:
    """The figures that decided, whatever they decided."""
    row.gallery_size = found.gallery_size
    row.gallery_sequence = found.sequence
    row.threshold = judgement.threshold
    row.runner_up_score = judgement.runner_up_score
    row.decided_at = at()
    if judgement.best is not None:
        row.score = judgement.best.score
    if judgement.is_recognised and judgement.best is not None:
        row.template_id = judgement.best.template_id
        row.template_version = judgement.best.template_version


def _lacking(row: Checkout, best: Candidate, *, pin: str | None, rows: rules.Policy) -> tuple[State, Reason] | None:
    if row.confirms is not None and row.confirms.person_id != best.person_id:
        return State.DECLINED, Reason.CONFIRMATION_NOT_ACCEPTED
    accepted = pins.accepts(person_id=best.person_id, pin=pin) if pin is not None else None
    return rules.second_factor(
        policy=rows,
        amount_minor=row.amount_minor,
        person_id=best.person_id,
        confirmation=rules.Confirmation(claimed_person=row.claimed_person_id, pin_accepted=accepted),
    )


def _allowed(row: Checkout, *, clock: Clock) -> bool:
    """Ask access again: what held when the frame came may be gone, or used up by a frame beside this one."""
    device = devices.device(device_id=row.device_id)
    if not device.is_working:
        finishing.finish(row, state=State.DECLINED, reason=Reason.DEVICE_NOT_ACTIVE, at=clock())
        return False
    decision = access.spend(
        principal=finishing.principal_of(row),
        permission=finishing.PERMISSION,
        resource=device,
        amount_minor=row.amount_minor,
        currency=row.currency,
        source=row.public_id,
        clock=clock,
    )
    row.grant_id = decision.grant_id or row.grant_id
    if not decision.allowed:
        finishing.finish(row, state=State.DECLINED, reason=rules.reason_of_access(decision.reason), at=clock())
    return decision.allowed


def _make_payment(row: Checkout, *, person_id: UUID, clock: Clock) -> None:
    device = finishing.principal_of(row)
    try:
        payment = payments.create(
            person_id=person_id,
            amount_minor=row.amount_minor,
            currency=row.currency,
            reference=row.public_id,
            by=device,
            clock=clock,
        )
    except (payments.NoPaymentMethod, payments.NoProviderAccount) as error:
        finishing.finish(row, state=State.DECLINED, reason=Reason(error.code), at=clock())
        return
    rules.check_step(State(row.state), State.PAYING)
    row.payment_id = payment.id
    row.state = State.PAYING
    row.save()
    usage.record(metric=METRIC, quantity=1, source_id=row.public_id, clock=clock)
    audit.write(
        action="checkout.recognised",
        actor=device,
        resource=row.public_id,
        detail=finishing.described(row),
        decision_id=row.grant_id,
        clock=clock,
    )
    events.record(event=finishing.told(row, CheckoutRecognised), clock=clock)
