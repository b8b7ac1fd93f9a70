"""Carrying a payment on: decide and commit, ask the provider outside every transaction, commit what it said.

Each round is claimed under the payment's lock with a lease, so two workers make one call. Dying at any point loses
nothing: the next worker finds what was committed before the call and sends the same request under the same key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import structlog
from django.db import transaction

from engine import ids
from engine.calls import Policy
from engine.calls.client import refuse_open_transaction
from engine.clock import Clock, utc_now
from engine.tenancy.context import current_organization
from tenants.payments import rules
from tenants.payments.adapters.base import Finding, OperationFinding, Order, PaymentProvider
from tenants.payments.models import Attempt, Capture, Payment, ProviderToken, Refund, Void
from tenants.payments.rules import AttemptState, CaptureMethod, Do, Fact, OperationState, PaymentState
from tenants.payments.services import intents, locks, secrets, settlement
from tenants.payments.services.accounts import open_account

LEASE = timedelta(seconds=Policy().longest_s + 5)
"""Longer than the longest call, so that a lease runs out only when its holder is gone."""

MAX_ROUNDS = 24
PATIENCE = timedelta(seconds=60)
"""No call begins later than this after the first one: a worker's message has two minutes in all."""

BUSY_DELAY = timedelta(seconds=3)

_log = structlog.get_logger(__name__)

_UNAVAILABLE = "provider_unavailable"
_EXPIRED = "expired"


class Busy(Exception):
    """Somebody else is talking to a provider about this payment at this moment."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One call that this worker, and nobody else, is to make now."""

    do: Do
    payment_id: UUID
    attempt_id: UUID
    operation: Capture | Refund | Void | None
    repeat: bool
    lease: UUID


def advance(*, payment_id: UUID, clock: Clock = utc_now) -> Payment:
    """Carry a payment as far as it goes now, and answer how it stands. Repeatable, at any time, by anybody.

    Outside every transaction. Never raises for what a provider does; a payment that another worker has in hand is
    answered as it stands. Raises NotFound and engine.calls.CallInTransaction.
    """
    refuse_open_transaction()
    until = clock() + PATIENCE
    for _ in range(MAX_ROUNDS):
        if clock() > until:
            break
        try:
            claim = _claim(payment_id, clock)
        except Busy:
            break
        if claim is None:
            break
        _settle(claim, _perform(claim), clock)
    return Payment.objects.get(id=payment_id)


def next_look(payment: Payment, *, clock: Clock = utc_now) -> timedelta | None:
    """How long to wait before carrying a payment on again; None when there is nothing left to do."""
    undecided = payment.status in (PaymentState.PENDING, PaymentState.UNKNOWN) or payment.open_operations > 0
    if not undecided:
        return None
    now = clock()
    due = max(payment.next_check_at or now, payment.lease_until or now)
    return max(due - now, BUSY_DELAY)


def sweep(*, clock: Clock = utc_now, limit: int = 100) -> int:
    """Carry on what is due and was left lying, whatever became of its message; answers how many are undecided.

    A payment that cannot be carried on (its key is out of reach, say) is logged and holds up no other. Begins with
    no other after ``PATIENCE``, since providers that are silent take their time: the next sweep goes on.
    """
    now = clock()
    undecided = Payment.objects.undecided()
    stale = undecided.filter(updated_at__lt=now - 2 * LEASE)
    due = stale.filter(next_check_at__isnull=True) | stale.filter(next_check_at__lte=now)
    for payment_id in list(due.order_by("updated_at").values_list("id", flat=True)[:limit]):
        if clock() > now + PATIENCE:
            break
        try:
            advance(payment_id=payment_id, clock=clock)
        except Exception:  # noqa: BLE001  # whatever it is, the other payments come next
            _log.exception("payments.sweep_failed", payment=ids.encode(Payment.id_prefix, payment_id))
    return undecided.count()


def _claim(payment_id: UUID, clock: Clock) -> Claim | None:
    """Do what needs no provider, then take the next call. Raises Busy while another worker holds the lease."""
    with transaction.atomic():
        payment = locks.payment(payment_id)
        now = clock()
        if payment.lease_until is not None and payment.lease_until > now:
            raise Busy
        payment.lease_token = payment.lease_until = None
        claim = None
        for _ in range(rules.MAX_ATTEMPTS * 2):
            attempt = payment.attempts.select_related("provider_account").latest("number")
            operations = _open_operations(payment)
            step = rules.next_step(_view(payment, attempt, operations), now=now)
            if step.do in (Do.NOTHING, Do.WAIT) or payment.status == PaymentState.FAILED:
                break
            operation = None if step.operation is None else operations[step.operation]
            if not _decide(step.do, payment, attempt, operation, clock):
                claim = _take(step.do, payment, attempt, operation, clock)
                break
        payment.save()
        return claim


def _decide(
    do: Do, payment: Payment, attempt: Attempt, operation: Capture | Refund | Void | None, clock: Clock
) -> bool:
    """Take a step that is only ours to take; False for one that needs the provider."""
    match do:
        case Do.FAIL_OVER:
            used = set(payment.attempts.values_list("provider_account_id", flat=True))
            account = intents.next_account(method_id=payment.payment_method_id, used=used)
            if account is None:
                settlement.fail(payment=payment, clock=clock)
            else:
                intents.new_attempt(payment=payment, account=account, number=attempt.number + 1)
        case Do.FAIL:
            settlement.fail(payment=payment, clock=clock)
        case Do.EXPIRE:
            settlement.refuse(payment=payment, attempt=attempt, code=_EXPIRED, elsewhere=False, clock=clock)
        case Do.REVIEW:
            settlement.review(payment=payment, row=operation or attempt, clock=clock)
        case _:
            return False
    return True


def _take(do: Do, payment: Payment, attempt: Attempt, operation: Capture | Refund | Void | None, clock: Clock) -> Claim:
    """Write down that a call is about to be made: what is not written down may not be sent."""
    row = attempt if operation is None else operation
    repeat = row.sends > 0
    if do in (Do.CHARGE, Do.OPERATE):
        row.sends += 1
        row.first_sent_at = row.first_sent_at or clock()
    if repeat:
        row.checks += 1
    row.save()
    payment.lease_token = uuid4()
    payment.lease_until = clock() + LEASE
    return Claim(do, payment.id, attempt.id, operation, repeat, payment.lease_token)


def _view(payment: Payment, attempt: Attempt, operations: list[Capture | Refund | Void]) -> rules.View:
    used = payment.attempts.values_list("provider_account_id", flat=True)
    another = attempt.status == AttemptState.REFUSED and attempt.elsewhere
    return rules.View(
        created_at=payment.created_at,
        attempts=attempt.number,
        attempt=rules.AttemptView(
            AttemptState(attempt.status), sends=attempt.sends, checks=attempt.checks, elsewhere=attempt.elsewhere
        ),
        next_check_at=payment.next_check_at,
        another_account=another
        and intents.next_account(method_id=payment.payment_method_id, used=set(used)) is not None,
        operations=[
            rules.OperationView(
                index,
                OperationState(row.status),
                first_sent_at=row.first_sent_at,
                has_reference=bool(row.provider_reference),
                checks=row.checks,
            )
            for index, row in enumerate(operations)
        ],
    )


def _open_operations(payment: Payment) -> list[Capture | Refund | Void]:
    rows: list[Capture | Refund | Void] = []
    for model in (Capture, Void, Refund):
        rows += model.objects.filter(payment=payment, status__in=rules.OPEN_OPERATIONS).select_related("attempt")
    return sorted(rows, key=lambda row: row.id)


def _perform(claim: Claim) -> Finding | OperationFinding:
    """Make the call."""
    attempt = Attempt.objects.select_related("provider_account", "payment").get(id=claim.attempt_id)
    provider = open_account(attempt.provider_account)
    if claim.operation is not None:
        return _operate(provider, claim, claim.operation, attempt)
    reference = attempt.provider_reference or ""
    match claim.do:
        case Do.PLACE:
            order = _order(attempt)
            if order is None:
                return Finding(Fact.REFUSED, code="payment_method_detached")
            return provider.place(order, key=attempt.place_key)
        case Do.CHARGE:
            order = _order(attempt)
            if order is None:
                # Its token is gone, so the same request cannot be made again: find out, send nothing.
                return provider.look_up(reference=reference)
            return provider.charge(order, reference=reference, key=attempt.charge_key, repeat=claim.repeat)
        case Do.CANCEL:
            done = provider.cancel(reference=reference, key=f"{attempt.public_id}:cancel", repeat=True)
            return done.charge or Finding(Fact.UNDECIDED)
        case _:
            return provider.look_up(reference=reference)


def _operate(
    provider: PaymentProvider, claim: Claim, row: Capture | Refund | Void, attempt: Attempt
) -> OperationFinding:
    reference = attempt.provider_reference or ""
    if isinstance(row, Refund):
        if claim.do is Do.LOOK_UP_OPERATION:
            return provider.look_up_refund(
                reference=reference, refund=row.public_id, provider_reference=row.provider_reference
            )
        return provider.refund(
            reference=reference,
            amount_minor=row.amount_minor,
            refund=row.public_id,
            key=row.key,
            repeat=claim.repeat,
        )
    if claim.do is Do.LOOK_UP_OPERATION:
        charge = provider.look_up(reference=reference)
        # What the charge has become settles the operation as well; see settlement.
        return OperationFinding(OperationState.UNKNOWN, source_id=charge.source_id, charge=charge)
    if isinstance(row, Capture):
        return provider.capture(reference=reference, amount_minor=row.amount_minor, key=row.key, repeat=claim.repeat)
    return provider.cancel(reference=reference, key=row.key, repeat=claim.repeat)


def _order(attempt: Attempt) -> Order | None:
    """What is charged, the same for every sending; None when the payment method was detached."""
    payment = attempt.payment
    row = ProviderToken.objects.filter(
        payment_method_id=payment.payment_method_id, provider_account_id=attempt.provider_account_id
    ).first()
    if row is None:
        return None
    token = secrets.open_token(token_id=row.id, sealed=row.sealed)
    return Order(
        payment=payment.public_id,
        attempt=attempt.public_id,
        organization=ids.encode("org", current_organization().id),
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        manual_capture=payment.capture_method == CaptureMethod.MANUAL,
        token=token.token,
        customer=token.customer,
    )


def _settle(claim: Claim, found: Finding | OperationFinding, clock: Clock) -> None:
    """Commit what the provider said, and give the lease back."""
    with transaction.atomic():
        payment = locks.payment(claim.payment_id)
        if payment.lease_token == claim.lease:
            payment.lease_token = payment.lease_until = None
        attempt = Attempt.objects.select_related("provider_account").get(id=claim.attempt_id)
        if isinstance(found, OperationFinding):
            _settle_operation(claim, found, payment, attempt, clock)
        else:
            _settle_charge(claim, found, payment, attempt, clock)
        payment.save()


def _settle_charge(claim: Claim, found: Finding, payment: Payment, attempt: Attempt, clock: Clock) -> None:
    if found.fact is Fact.UNDECIDED or (found.fact is Fact.PLACED and claim.do is not Do.PLACE):
        # Nothing was ever sent that moves money: that this one did not get through is proof enough. And an intent
        # that is still waiting proves nothing about a confirmation that may be under way.
        # Not of a restored attempt, which may have been charged between the backup and the restore.
        if not claim.repeat and (claim.do is Do.PLACE or not found.available):
            code = found.code or _UNAVAILABLE
            settlement.refuse(payment=payment, attempt=attempt, code=code, elsewhere=True, clock=clock)
            return
        found = Finding(Fact.UNDECIDED)
        payment.next_check_at = clock() + rules.check_delay(attempt.checks)
        settlement.apply_charge(payment=payment, attempt=attempt, finding=found, event=None, clock=clock)
        return
    event = settlement.keep_event(
        account=attempt.provider_account,
        kind=f"charge.{claim.do}",
        subject="charge",
        finding=found,
        occurred_at=clock(),
        charge_reference=found.reference,
    )
    settlement.apply_charge(payment=payment, attempt=attempt, finding=found, event=event, clock=clock)


def _settle_operation(claim: Claim, found: OperationFinding, payment: Payment, attempt: Attempt, clock: Clock) -> None:
    row = claim.operation
    if row is None:
        raise AssertionError("an operation's finding belongs to an operation")
    row = type(row).objects.get(id=row.id)
    charge = found.charge
    # A look that finds a refund still pending is no news, however often it is taken.
    proves = found.state not in (OperationState.UNKNOWN, row.status)
    proves = proves or (charge is not None and charge.fact is not Fact.UNDECIDED)
    event = None
    if proves:
        event = settlement.keep_event(
            account=attempt.provider_account,
            kind=f"{type(row).__name__.lower()}.{claim.do}",
            subject="refund" if isinstance(row, Refund) else "charge",
            finding=found if charge is None or found.state is not OperationState.UNKNOWN else charge,
            occurred_at=clock(),
            charge_reference=attempt.provider_reference or "",
        )
    settlement.apply_operation(payment=payment, operation=row, found=found, event=event, clock=clock)
