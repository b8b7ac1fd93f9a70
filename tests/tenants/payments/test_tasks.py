"""What workers do for payments when nobody waits for an answer."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import time_machine

from engine import ids
from engine.clock import utc_now
from engine.errors import InvalidInput
from engine.outbox import inline
from engine.outbox.execution import Outcome
from engine.principals import SYSTEM
from tenants.events import services as events
from tenants.identity.events import PersonErased
from tenants.identity.models import PersonStatus
from tenants.payments import services as payments
from tenants.payments.models import PaymentMethod, ProviderToken
from tests.factories import payments as make
from tests.tenants.payments.conftest import Shop


def _later(**amount: float) -> time_machine.travel:
    return time_machine.travel(utc_now() + timedelta(**amount), tick=True)


def test_a_payment_whose_caller_died_is_carried_on(shop: Shop) -> None:
    fresh = shop.ask()
    payment = shop.ask(clock=lambda: utc_now() - timedelta(seconds=30))
    inline.drain(raise_errors=True)
    payment.refresh_from_db()
    fresh.refresh_from_db()
    assert (payment.status, fresh.status) == ("captured", "pending")
    assert shop.charges() == [("a", 1250)]


def test_a_message_lives_as_long_as_its_payment_is_undecided(shop: Shop) -> None:
    shop.sandbox.behave(shop.keys[0], {"kind": "unavailable", "operation": "payment_intents.confirm"})
    shop.ask(clock=lambda: utc_now() - timedelta(seconds=30))
    assert inline.drain(raise_errors=True)[Outcome.POSTPONED] == 1


def test_a_sweep_finds_what_was_left_lying(shop: Shop) -> None:
    shop.sandbox.behave(shop.keys[0], {"kind": "unavailable", "operation": "payment_intents.confirm"})
    payment = shop.pay()
    assert payment.status == "unknown"
    shop.sandbox.behave(shop.keys[0])
    assert payments.sweep() == 1
    payment.refresh_from_db()
    assert payment.status == "unknown"
    with _later(minutes=5):
        assert payments.sweep() == 0
    payment.refresh_from_db()
    assert payment.status == "captured"


def test_one_payment_that_cannot_be_carried_on_holds_up_no_other(shop: Shop) -> None:
    broken, whole = shop.ask(), shop.ask()
    tokens = ProviderToken.objects.filter(payment_method=broken.payment_method_id)
    row = tokens.first()
    assert row is not None
    tokens._raw_delete(tokens.db)
    ProviderToken.objects.bulk_create(
        [
            ProviderToken(
                payment_method_id=row.payment_method_id,
                provider_account_id=row.provider_account_id,
                sealed=b"not sealed",
            )
        ]
    )
    with _later(minutes=5):
        assert payments.sweep() == 1
    whole.refresh_from_db()
    broken.refresh_from_db()
    assert (whole.status, broken.status) == ("captured", "pending")


def test_a_sweep_ends_in_time_when_every_call_is_slow(shop: Shop) -> None:
    shop.sandbox.behave(shop.keys[0], {"kind": "unavailable", "operation": "payment_intents.confirm"})
    rows = [shop.pay(), shop.pay()]
    shop.sandbox.behave(shop.keys[0])
    began, looks = utc_now() + timedelta(minutes=5), 0

    def slow() -> datetime:
        # Each look at the clock finds it 25 s later.
        nonlocal looks
        looks += 1
        return began + timedelta(seconds=25 * looks)

    assert payments.sweep(clock=slow) >= 1
    for row in rows:
        row.refresh_from_db()
    assert "unknown" in {row.status for row in rows}


def test_an_erased_person_is_not_charged_while_the_payment_methods_are_still_there(shop: Shop) -> None:
    method = make.payment_method(shop.accounts)
    method.person.status = PersonStatus.ERASING
    method.person.external_reference, method.person.display_name = None, ""
    method.person.save()
    with pytest.raises(payments.NoPaymentMethod):
        payments.create(person_id=method.person_id, amount_minor=1, currency="EUR", by=SYSTEM)
    with pytest.raises(InvalidInput):
        payments.create_method(person_id=method.person_id, tokens=[], by=SYSTEM)


def test_an_erased_persons_payment_methods_are_forgotten(shop: Shop) -> None:
    method = make.payment_method(shop.accounts)
    other = make.payment_method(shop.accounts)
    events.record(event=PersonErased(person=ids.encode("per", method.person_id)))
    inline.drain(raise_errors=True)
    method.refresh_from_db()
    assert method.status == "detached"
    assert payments.forget_person(person_id=method.person_id, by=SYSTEM) == 0
    assert not ProviderToken.objects.filter(payment_method=method).exists()
    assert PaymentMethod.objects.get(id=other.id).status == "active"
