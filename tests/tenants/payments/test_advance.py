"""Payments against a provider that answers, refuses, and fails in every way."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
import time_machine

from engine.clock import utc_now
from tenants.payments import services as payments
from tenants.payments.models import Payment, ProviderEvent
from tests.factories import payments as make
from tests.tenants.payments import books
from tests.tenants.payments.conftest import Shop


def _attempts(payment: Payment) -> list[tuple[str, str]]:
    return [(attempt.status, attempt.refusal_code) for attempt in payment.attempts.order_by("number")]


def test_a_payment_is_taken_once(shop: Shop) -> None:
    payment = shop.pay()
    assert (payment.status, payment.captured_minor) == ("captured", 1250)
    assert shop.charges() == [("a", 1250)]
    again = payments.advance(payment_id=payment.id)
    assert again.status == "captured"
    assert shop.charges() == [("a", 1250)]


def test_asking_alone_reaches_no_provider(shop: Shop) -> None:
    payment = shop.ask()
    assert payment.status == "pending"
    assert _attempts(payment) == [("created", "")]
    assert shop.effects() == []


class TestFailOver:
    def test_a_proven_refusal_at_one_account_leads_to_the_next(self, shop: Shop) -> None:
        shop.sandbox.behave(shop.keys[0], {"kind": "decline"})
        payment = shop.pay()
        assert payment.status == "captured"
        assert _attempts(payment) == [("refused", "generic_decline"), ("captured", "")]
        assert shop.charges() == [("b", 1250)]

    @pytest.mark.parametrize("kind", ["revoked", "forbidden", "unavailable", "throttled", "drop_before"])
    def test_an_account_that_cannot_even_place_is_left(self, shop: Shop, kind: str) -> None:
        shop.sandbox.behave(shop.keys[0], {"kind": kind})
        assert shop.pay().status == "captured"
        assert shop.charges() == [("b", 1250)]

    def test_a_cards_own_fault_is_not_tried_elsewhere(self, shop: Shop) -> None:
        payment = shop.pay("pm_card_visa_chargeDeclinedStolenCard")
        assert (payment.status, payment.failure_code) == ("failed", "stolen_card")
        assert _attempts(payment) == [("refused", "stolen_card")]
        assert shop.effects() == []

    def test_when_every_account_refuses_the_payment_has_failed(self, shop: Shop) -> None:
        for key in shop.keys:
            shop.sandbox.behave(key, {"kind": "decline"})
        payment = shop.pay()
        assert (payment.status, payment.failure_code) == ("failed", "generic_decline")
        assert len(_attempts(payment)) == 2
        for key in shop.keys:
            shop.sandbox.behave(key)
        assert payments.advance(payment_id=payment.id).status == "failed"
        assert shop.effects() == []

    def test_a_disabled_account_is_not_asked(self, shop: Shop) -> None:
        payments.update_account(account=shop.accounts[0], status="disabled", by=make.STAFF)
        assert shop.pay().status == "captured"
        assert shop.charges() == [("b", 1250)]

    def test_an_unreachable_account_is_left_at_once(self, shop: Shop) -> None:
        dead = make.provider_account(shop.sandbox, base_url="http://127.0.0.1:9", priority=0)
        method = make.payment_method([dead, shop.accounts[1]])
        payment = payments.advance(payment_id=make.payment(method).id)
        assert _attempts(payment) == [("refused", "provider_unavailable"), ("captured", "")]


class TestSilence:
    """Whatever happens around the effect, it happens once, and never at two accounts."""

    @pytest.mark.parametrize("token", ["pm_sandbox_dropBeforeEffect", "pm_sandbox_dropAfterEffect"])
    def test_a_cut_connection_is_settled_under_the_same_key(self, shop: Shop, token: str) -> None:
        payment = shop.pay(token)
        assert payment.status == "captured"
        assert _attempts(payment) == [("captured", "")]
        assert shop.charges() == [("a", 1250)]

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "drop_after", "operation": "payment_intents.confirm"},
            {"kind": "error_after", "operation": "payment_intents.confirm"},
            {"kind": "unavailable", "operation": "payment_intents.confirm"},
            {"kind": "drop_before", "operation": "payment_intents.confirm"},
            {"kind": "error_before", "operation": "payment_intents.confirm"},
        ],
    )
    def test_silence_is_unknown_and_never_failed_over(self, shop: Shop, fault: dict[str, str]) -> None:
        shop.sandbox.behave(shop.keys[0], fault)
        payment = shop.pay()
        assert payment.status == "unknown"
        assert _attempts(payment) == [("unknown", "")]
        assert [name for name, _ in shop.charges()] in ([], ["a"])
        shop.sandbox.behave(shop.keys[0])
        for _ in range(6):
            with time_machine.travel(utc_now() + timedelta(minutes=4), tick=True):
                payment = payments.advance(payment_id=payment.id)
            Payment.objects.filter(id=payment.id).update(next_check_at=None)
        late = payment.created_at + timedelta(minutes=20)
        for step in range(4):
            with time_machine.travel(late + timedelta(hours=step), tick=True):
                payment = payments.advance(payment_id=payment.id)
        if fault["kind"] == "error_before":
            # The provider remembers a 500 for ever: only cancelling proves that nothing was taken.
            assert payment.status == "voided"
            assert shop.charges() == []
        else:
            assert payment.status == "captured"
            assert shop.charges() == [("a", 1250)]

    def test_waiting_is_left_to_time(self, shop: Shop) -> None:
        shop.sandbox.behave(shop.keys[0], {"kind": "unavailable", "operation": "payment_intents.confirm"})
        payment = shop.pay()
        sends = payment.attempts.get().sends
        assert payments.next_look(payment) is not None
        assert payments.advance(payment_id=payment.id).attempts.get().sends == sends

    def test_what_was_never_sent_is_not_sent_later(self, shop: Shop) -> None:
        payment = shop.ask()
        with time_machine.travel(utc_now() + timedelta(minutes=16), tick=True):
            payment = payments.advance(payment_id=payment.id)
        assert (payment.status, payment.failure_code) == ("failed", "expired")
        assert shop.effects() == []

    def test_without_proof_a_human_has_to_look(self, shop: Shop) -> None:
        shop.sandbox.behave(shop.keys[0], {"kind": "drop_after", "operation": "payment_intents.confirm"})
        payment = shop.pay()
        shop.sandbox.behave(shop.keys[0], {"kind": "unavailable"})
        for hours in (1, 2, 3, 27):
            with time_machine.travel(payment.created_at + timedelta(hours=hours), tick=True):
                payment = payments.advance(payment_id=payment.id)
        assert payment.status == "needs_review"
        assert payments.next_look(payment) is None
        assert _attempts(payment) == [("needs_review", "")]
        assert shop.charges() == [("a", 1250)]

    def test_a_charge_that_the_provider_decides_later_is_looked_up(self, shop: Shop) -> None:
        shop.sandbox.set(processing_s=0.2)
        payment = shop.pay("pm_sandbox_processing")
        assert payment.status == "unknown"
        time.sleep(1)
        for minutes in (1, 2):
            with time_machine.travel(utc_now() + timedelta(minutes=minutes), tick=True):
                payment = payments.advance(payment_id=payment.id)
        assert payment.status == "captured"
        assert shop.charges() == [("a", 1250)]

    def test_a_detached_card_is_not_charged_any_more(self, shop: Shop) -> None:
        payment = shop.ask()
        payments.detach_method(method=payment.payment_method, by=make.STAFF)
        payment = payments.advance(payment_id=payment.id)
        assert (payment.status, payment.failure_code) == ("failed", "payment_method_detached")
        assert shop.effects() == []

    def test_detaching_in_the_middle_leaves_an_undecided_charge_to_be_found_out(self, shop: Shop) -> None:
        shop.sandbox.behave(shop.keys[0], {"kind": "drop_after", "operation": "payment_intents.confirm"})
        payment = shop.pay()
        payments.detach_method(method=payment.payment_method, by=make.STAFF)
        with time_machine.travel(utc_now() + timedelta(minutes=1), tick=True):
            payment = payments.advance(payment_id=payment.id)
        assert payment.status == "captured"
        assert shop.charges() == [("a", 1250)]

    def test_an_undecided_charge_can_be_voided_to_get_a_proof(self, shop: Shop) -> None:
        shop.sandbox.behave(shop.keys[0], {"kind": "unavailable", "operation": "payment_intents.confirm"})
        payment = shop.pay()
        payments.void(payment_id=payment.id, by=make.STAFF)
        payment = payments.advance(payment_id=payment.id)
        assert payment.status == "voided"
        assert shop.effects() == []


class TestManualCapture:
    def test_part_is_taken_and_the_rest_released(self, shop: Shop) -> None:
        payment = shop.pay(capture_method="manual")
        assert (payment.status, payment.authorized_minor, payment.captured_minor) == ("authorized", 1250, 0)
        payments.capture(payment_id=payment.id, amount_minor=1000, by=make.STAFF)
        payment = payments.advance(payment_id=payment.id)
        assert (payment.status, payment.captured_minor, payment.open_operations) == ("captured", 1000, 0)
        assert payment.captures.get().status == "succeeded"
        assert shop.effects() == [("authorization", 1250), ("charge", 1000), ("release", 250)]

    def test_it_can_be_voided(self, shop: Shop) -> None:
        payment = shop.pay(capture_method="manual")
        payments.void(payment_id=payment.id, by=make.STAFF)
        payment = payments.advance(payment_id=payment.id)
        assert (payment.status, payment.voids.get().status) == ("voided", "succeeded")
        assert shop.effects() == [("authorization", 1250), ("release", 1250)]
        with pytest.raises(payments.NotInThisState):
            payments.capture(payment_id=payment.id, by=make.STAFF)

    @pytest.mark.parametrize("kind", ["drop_after", "error_after", "drop_before", "unavailable"])
    def test_a_capture_without_an_answer_is_settled(self, shop: Shop, kind: str) -> None:
        payment = shop.pay(capture_method="manual")
        shop.sandbox.behave(shop.keys[0], {"kind": kind, "operation": "payment_intents.capture"})
        payments.capture(payment_id=payment.id, by=make.STAFF)
        payment = payments.advance(payment_id=payment.id)
        assert (payment.status, payment.captures.get().status) == ("authorized", "unknown")
        with pytest.raises(payments.NotInThisState):
            payments.void(payment_id=payment.id, by=make.STAFF)
        shop.sandbox.behave(shop.keys[0])
        for minutes in (1, 2, 3):
            with time_machine.travel(utc_now() + timedelta(minutes=minutes), tick=True):
                payment = payments.advance(payment_id=payment.id)
        assert (payment.status, payment.captures.get().status) == ("captured", "succeeded")
        assert shop.charges() == [("a", 1250)]

    def test_more_than_is_reserved_is_refused(self, shop: Shop) -> None:
        payment = shop.pay(capture_method="manual")
        with pytest.raises(payments.AmountTooLarge):
            payments.capture(payment_id=payment.id, amount_minor=1251, by=make.STAFF)


class TestRefunds:
    def test_part_by_part(self, shop: Shop) -> None:
        payment = shop.pay()
        payments.refund(payment_id=payment.id, amount_minor=1000, by=make.STAFF)
        with pytest.raises(payments.AmountTooLarge) as refused:
            payments.refund(payment_id=payment.id, amount_minor=251, by=make.STAFF)
        assert refused.value.extra == {"available_minor": 250}
        payments.refund(payment_id=payment.id, by=make.STAFF)
        payment = payments.advance(payment_id=payment.id)
        assert (payment.refunded_minor, payment.open_operations) == (1250, 0)
        assert shop.effects() == [("charge", 1250), ("refund", 1000), ("refund", 250)]

    @pytest.mark.parametrize("kind", ["drop_after", "error_after", "drop_before", "unavailable", "revoked"])
    def test_a_refund_without_an_answer_is_settled_once(self, shop: Shop, kind: str) -> None:
        payment = shop.pay()
        shop.sandbox.behave(shop.keys[0], {"kind": kind, "operation": "refunds.create"})
        payments.refund(payment_id=payment.id, amount_minor=500, by=make.STAFF)
        payment = payments.advance(payment_id=payment.id)
        assert payment.refunds.get().status == "unknown"
        shop.sandbox.behave(shop.keys[0])
        for minutes in (1, 2, 3):
            with time_machine.travel(utc_now() + timedelta(minutes=minutes), tick=True):
                payment = payments.advance(payment_id=payment.id)
        assert (payment.refunds.get().status, payment.refunded_minor) == ("succeeded", 500)
        assert shop.effects() == [("charge", 1250), ("refund", 500)]

    def test_only_what_was_taken_can_be_refunded(self, shop: Shop) -> None:
        payment = shop.pay(capture_method="manual")
        with pytest.raises(payments.NotInThisState) as refused:
            payments.refund(payment_id=payment.id, by=make.STAFF)
        assert refused.value.extra == {"payment_status": "authorized"}


def test_every_amount_comes_from_a_stored_provider_event(shop: Shop) -> None:
    payment = shop.pay(capture_method="manual")
    payments.capture(payment_id=payment.id, amount_minor=700, by=make.STAFF)
    payment = payments.advance(payment_id=payment.id)
    said = [
        (event.said, event.amount_minor)
        for event in ProviderEvent.objects.filter(charge_reference=payment.attempts.get().provider_reference).order_by(
            "id"
        )
    ]
    assert ("authorized", 1250) in said
    assert payment.transfers.exclude(provider_event__amount_minor__isnull=True).count() == 2
    for transfer in payment.transfers.all():
        assert transfer.provider_event.amount_minor == transfer.amount_minor


def test_a_payment_leaves_its_traces(shop: Shop) -> None:
    from django.apps import apps

    payment = shop.pay()
    types = set(apps.get_model("events.Event").objects.values_list("type", flat=True))
    assert {"payment.created", "payment.captured"} <= types
    usage = apps.get_model("usage.Record").objects.filter(source_id=payment.public_id)
    assert [(row.metric, row.quantity) for row in usage] == [("payments.captured", 1)]
    entries = apps.get_model("audit.Entry").objects.filter(resource=payment.public_id)
    assert {entry.action for entry in entries} == {"payment.create", "payment.settle"}


class TestPendingRefunds:
    """A refund that the provider decides later: promised in the books first, then posted or given up."""

    def test_it_is_found_out_by_looking(self, shop: Shop) -> None:
        shop.sandbox.set(refund_settles_s=0.3)
        payment = shop.pay("pm_card_pendingRefund")
        payments.refund(payment_id=payment.id, by=make.STAFF)
        payment = payments.advance(payment_id=payment.id)
        refund = payment.refunds.get()
        assert (refund.status, payment.refunded_minor, payment.open_operations) == ("pending", 0, 1)
        with time_machine.travel(utc_now() + timedelta(minutes=1), tick=True):
            payments.advance(payment_id=payment.id)
        time.sleep(1)
        with time_machine.travel(utc_now() + timedelta(minutes=3), tick=True):
            payment = payments.advance(payment_id=payment.id)
        assert (payment.refunds.get().status, payment.refunded_minor, payment.open_operations) == ("succeeded", 1250, 0)
        assert [row.reason for row in payment.transfers.order_by("id")] == ["charge", "refund_pending", "refund"]
        # One event for each thing that was said, however often it was looked at.
        said = ProviderEvent.objects.filter(subject="refund").order_by("id").values_list("said", flat=True)
        assert list(said) == ["pending", "succeeded"]
        books.check()
