"""Payments in a restored backup: what happened after it is found out, and never made to happen again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import transaction

from engine.clock import utc_now
from tenants.payments import services as payments
from tenants.payments.models import Attempt, Payment, Refund
from tenants.payments.rules import AttemptState
from tests.factories.payments import STAFF
from tests.tenants.payments.conftest import Shop

HOURS = [timedelta(0), timedelta(hours=1), timedelta(hours=20)]
"""Between the backup and the restore: inside the window of a charge, and long after it."""


@contextmanager
def lost() -> Iterator[None]:
    """What happens inside was not in the backup. The provider does not forget it."""
    point = transaction.savepoint()
    yield
    transaction.savepoint_rollback(point)


def carried(payment: Payment, *, after: timedelta) -> Payment:
    """The payment once the restored organization has worked on it for a while."""
    payments.settle_restored()
    for turn in range(6):
        now = utc_now() + after + timedelta(minutes=10 * turn)
        payment = payments.advance(payment_id=payment.id, clock=lambda now=now: now)
    return payment


@pytest.mark.parametrize("after", HOURS, ids=str)
def test_one_that_was_charged_after_the_backup_is_found(shop: Shop, after: timedelta) -> None:
    payment = shop.ask()
    with lost():
        assert payments.advance(payment_id=payment.id).status == "captured"
    assert Attempt.objects.get(payment=payment).status == AttemptState.CREATED
    assert carried(payment, after=after).status == "captured"
    assert shop.charges() == [("a", 1250)]


@pytest.mark.parametrize(("after", "end", "charges"), [(HOURS[0], "captured", 1), (HOURS[1], "voided", 0)])
def test_one_that_was_never_sent_is_charged_in_time_and_else_cancelled(
    shop: Shop, after: timedelta, end: str, charges: int
) -> None:
    payment = shop.ask()
    assert carried(payment, after=after).status == end
    assert len(shop.charges()) == charges


def test_a_refund_that_was_made_after_the_backup_is_not_made_again(shop: Shop) -> None:
    payment = shop.pay()
    refund = payments.refund(payment_id=payment.id, by=STAFF, amount_minor=500)
    with lost():
        payments.advance(payment_id=payment.id)
    assert carried(payment, after=HOURS[0]).refunded_minor == 500
    assert Refund.objects.get(id=refund.id).status == "succeeded"
    assert shop.effects().count(("refund", 500)) == 1


def test_an_old_refund_is_not_sent_under_a_key_that_the_provider_has_forgotten(shop: Shop) -> None:
    payment = shop.pay()
    payments.refund(payment_id=payment.id, by=STAFF, amount_minor=500)
    carried(payment, after=timedelta(hours=30))
    assert ("refund", 500) not in shop.effects()
    assert Refund.objects.get(payment=payment).status == "needs_review"


def test_where_another_account_may_have_been_asked_a_human_decides(shop: Shop) -> None:
    payment = shop.ask()
    Attempt.objects.filter(payment=payment).update(status=AttemptState.REFUSED, elsewhere=True)
    assert carried(payment, after=HOURS[0]).status == "needs_review"
    assert shop.charges() == []


def test_what_was_decided_is_left_alone(shop: Shop) -> None:
    payment = shop.pay()
    assert payments.settle_restored() == 0
    assert Payment.objects.get(id=payment.id).status == "captured"


def test_planted_without_settling_a_charge_that_was_made_would_be_denied(shop: Shop) -> None:
    payment = shop.ask()
    with lost():
        payments.advance(payment_id=payment.id)
    later = utc_now() + timedelta(hours=1)
    assert payments.advance(payment_id=payment.id, clock=lambda: later).status == "failed"
    assert len(shop.charges()) == 1
