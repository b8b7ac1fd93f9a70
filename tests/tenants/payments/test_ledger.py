"""The books balance by construction, and nobody changes them: not even we."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from tenants.payments import services as payments
from tenants.payments.models import Balance, LedgerAccount, LedgerKind, Payment, ProviderEvent, Transfer
from tenants.payments.services import ledger
from tests.factories import payments as make
from tests.tenants.payments import books
from tests.tenants.payments.conftest import Shop


def _balance(kind: str) -> Balance:
    return Balance.objects.select_related("account").get(account__kind=kind)


def test_a_sale_a_part_capture_a_void_and_a_refund(shop: Shop) -> None:
    shop.pay()
    part = shop.pay(capture_method="manual")
    payments.capture(payment_id=part.id, amount_minor=1000, by=make.STAFF)
    payments.advance(payment_id=part.id)
    gone = shop.pay(capture_method="manual")
    payments.void(payment_id=gone.id, by=make.STAFF)
    payments.advance(payment_id=gone.id)
    held = shop.pay(capture_method="manual")
    payments.refund(payment_id=part.id, amount_minor=300, by=make.STAFF)
    payments.advance(payment_id=part.id)
    provider = _balance("provider")
    assert (provider.debits_posted_minor, provider.debits_pending_minor) == (2250, held.amount_minor)
    assert provider.credits_posted_minor == 300
    assert _balance("sales").credits_posted_minor == 2250
    assert _balance("refunds").debits_posted_minor == 300
    books.check()


def test_currencies_and_provider_accounts_have_books_of_their_own(shop: Shop) -> None:
    shop.pay(currency="CHF")
    shop.pay(currency="EUR")
    shop.sandbox.behave(shop.keys[0], {"kind": "decline"})
    shop.pay(currency="EUR")
    kinds = LedgerAccount.objects.values_list("kind", "currency")
    assert sorted(kinds) == [
        ("provider", "CHF"),
        ("provider", "EUR"),
        ("provider", "EUR"),
        ("sales", "CHF"),
        ("sales", "EUR"),
    ]
    books.check()


def test_a_cause_is_posted_once(shop: Shop) -> None:
    payment = shop.pay()
    transfer = payment.transfers.get()
    again = ledger.take(
        attempt=payment.attempts.get(), payment=payment, event=transfer.provider_event, amount_minor=1250
    )
    assert again == transfer
    books.check()


class TestWhatTheDatabaseRefuses:
    """Each rule is held without our code: the row is written by hand, and refused."""

    @pytest.fixture
    def row(self, shop: Shop) -> dict[str, Any]:
        payment = shop.pay(capture_method="manual")
        pending = payment.transfers.get()
        names = ("debit_account_id", "credit_account_id", "currency", "payment_id", "provider_event_id")
        return {name: getattr(pending, name) for name in names} | {
            "transaction_id": uuid4(),
            "kind": "posted",
            "amount_minor": 5,
            "reason": "test",
            "source_id": uuid4(),
            "_pending": pending,
        }

    def _insert(self, row: dict[str, Any], **changes: Any) -> Transfer:
        values = {name: value for name, value in (row | changes).items() if name != "_pending"}
        with transaction.atomic():
            made = Transfer.objects.create(**values)
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            return made

    def test_the_row_itself_is_good(self, row: dict[str, Any]) -> None:
        assert self._insert(row).amount_minor == 5

    @pytest.mark.parametrize("amount", [0, -1])
    def test_an_amount_is_positive(self, row: dict[str, Any], amount: int) -> None:
        with pytest.raises(IntegrityError, match="transfer_amount_positive"):
            self._insert(row, amount_minor=amount)

    @pytest.mark.parametrize("side", ["debit", "credit"])
    def test_both_accounts_have_the_transfers_currency(self, row: dict[str, Any], side: str) -> None:
        other = ledger.account_of(kind=LedgerKind.SALES, currency="EUR")
        with pytest.raises(IntegrityError, match=f"transfer_{side}_currency"):
            self._insert(row, **{f"{side}_account_id": other.id})

    def test_it_goes_from_one_account_to_another(self, row: dict[str, Any]) -> None:
        with pytest.raises(IntegrityError, match="transfer_between_two_accounts"):
            self._insert(row, debit_account_id=row["credit_account_id"])

    def test_a_cause_counts_once(self, row: dict[str, Any]) -> None:
        self._insert(row)
        with pytest.raises(IntegrityError, match="transfer_once_per_reason"):
            self._insert(row)

    def _resolution(self, row: dict[str, Any], **changes: Any) -> dict[str, Any]:
        values = row | {
            "kind": "post",
            "pending_id": row["_pending"].id,
            "pending_kind": "pending",
            "pending_minor": 1250,
            "amount_minor": 1000,
            "voided_minor": 250,
        }
        return values | changes

    def test_a_pending_transfer_is_resolved_once(self, row: dict[str, Any]) -> None:
        self._insert(self._resolution(row))
        with pytest.raises(IntegrityError, match="payments_transfer_pending_id"):
            self._insert(self._resolution(row, source_id=uuid4()))

    @pytest.mark.parametrize(
        "changes",
        [
            {"amount_minor": 1251, "voided_minor": 0},
            {"voided_minor": 0},
            {"voided_minor": -1, "amount_minor": 1251},
            {"pending_minor": None},
            {"kind": "void"},
            {"kind": "pending"},
            {"kind": "posted"},
            {"kind": "post", "pending_id": None},
        ],
    )
    def test_a_resolution_accounts_for_all_of_it(self, row: dict[str, Any], changes: dict[str, Any]) -> None:
        with pytest.raises(IntegrityError, match="transfer_resolves_all_or_nothing"):
            self._insert(self._resolution(row, **changes))

    def test_a_resolution_states_the_pending_amount_truly(self, row: dict[str, Any]) -> None:
        with pytest.raises(IntegrityError, match="transfer_resolves_its_pending"):
            self._insert(self._resolution(row, pending_minor=2000, voided_minor=1000))

    def test_a_resolution_has_the_pending_accounts(self, row: dict[str, Any]) -> None:
        swapped = {"debit_account_id": row["credit_account_id"], "credit_account_id": row["debit_account_id"]}
        with pytest.raises(IntegrityError, match="transfer_resolves_its_pending"):
            self._insert(self._resolution(row, **swapped))

    def test_only_a_pending_transfer_can_be_resolved(self, row: dict[str, Any]) -> None:
        done = self._insert(row, amount_minor=1250, source_id=uuid4())
        with pytest.raises(IntegrityError, match="transfer_resolves_its_pending"):
            self._insert(self._resolution(row, pending_id=done.id))

    def test_a_second_live_attempt(self, shop: Shop) -> None:
        attempt = shop.pay().attempts.get()
        attempt.pk, attempt.number, attempt.place_key, attempt.charge_key = uuid4(), 2, "x", "y"
        attempt.provider_reference = "pi_other"
        with pytest.raises(IntegrityError, match="attempt_one_live_per_payment"), transaction.atomic():
            attempt.save(force_insert=True)

    @pytest.mark.parametrize(
        ("changes", "constraint"),
        [
            ({"amount_minor": 0}, "payment_amount_in_range"),
            ({"amount_minor": 10**12 + 1}, "payment_amount_in_range"),
            ({"currency": "chf"}, "payment_currency_is_a_code"),
            ({"status": "lost"}, "payment_status_known"),
            ({"captured_minor": 1251}, "payment_takes_no_more_than_asked"),
            ({"refund_reserved_minor": 1251}, "payment_refunds_no_more_than_taken"),
            ({"refunded_minor": 1}, "payment_refunds_no_more_than_taken"),
            ({"status": "failed"}, "payment_without_effect_took_nothing"),
            ({"captured_minor": 0}, "payment_captured_has_an_amount"),
        ],
    )
    def test_an_impossible_payment(self, shop: Shop, changes: dict[str, Any], constraint: str) -> None:
        payment = shop.pay()
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            Payment.objects.filter(id=payment.id).update(**changes)


class TestAppendOnly:
    """By privilege: the organization's role cannot, whatever the code does."""

    @pytest.mark.parametrize(
        ("name", "act"),
        [
            ("update", lambda rows: rows.update(created_at="2020-01-01T00:00:00Z")),
            ("delete", lambda rows: rows._raw_delete(rows.db)),
            ("lock", lambda rows: list(rows.select_for_update())),
        ],
    )
    @pytest.mark.parametrize("model", [Transfer, ProviderEvent, LedgerAccount])
    def test_permission_denied(self, shop: Shop, model: Any, name: str, act: Callable[[Any], Any]) -> None:
        shop.pay()
        assert model.objects.exists()
        with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
            act(model.objects.all())

    def test_a_hole_would_be_seen(self, shop: Shop) -> None:
        """The same statement on a table that may be changed goes through: the refusal above is the wall's."""
        shop.pay()
        assert Balance.objects.update(created_at="2020-01-01T00:00:00Z") > 0
        assert Transfer.privileges == frozenset()
