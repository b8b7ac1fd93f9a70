"""Webhooks of the provider: raw bytes, once, in any order."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from rest_framework.test import APIClient

from devkit.sandbox.webhooks import signature
from engine import ids
from engine.outbox import claims, inline
from engine.outbox.execution import SUSPENDED_REASON
from engine.tenancy import directory
from engine.tenancy.context import OrganizationContext, public_schema
from shared.organizations.models import Organization
from tenants.payments import services as payments
from tenants.payments.models import ProviderEvent
from tests.devkit.sandbox.client import get
from tests.factories import payments as make
from tests.tenants.payments import books
from tests.tenants.payments.conftest import Shop


@pytest.fixture
def hooks(shop: Shop) -> APIClient:
    return APIClient(HTTP_HOST="hooks.keystead.test", raise_request_exception=False)


def _path(org: OrganizationContext, shop: Shop) -> str:
    return f"/stripe/{ids.encode('org', org.id)}/{shop.accounts[0].public_id}"


def _send(client: APIClient, path: str, body: bytes, *, secret: str = make.WEBHOOK_SECRET, age_s: int = 0) -> Any:
    header = signature(body, secret=secret, timestamp=int(time.time()) - age_s)
    return client.post(path, body, content_type="application/json", headers={"Stripe-Signature": header})


def _events(shop: Shop, *kinds: str) -> list[bytes]:
    """The provider's own events, oldest first."""
    rows = get(shop.sandbox, shop.keys[0], "/v1/events", limit="100").json()["data"]
    wanted = [row for row in reversed(rows) if row["type"] in kinds or not kinds]
    return [json.dumps(row).encode() for row in wanted]


def _silenced(shop: Shop, **fields: Any) -> Any:
    """A payment whose charge happened and was never answered."""
    shop.sandbox.behave(shop.keys[0], {"kind": "drop_after", "operation": "payment_intents.confirm"})
    payment = shop.pay(**fields)
    assert payment.status == "unknown"
    return payment


class TestSettling:
    def test_a_webhook_settles_what_no_answer_did(self, shop: Shop, hooks: APIClient, org_a: Any) -> None:
        payment = _silenced(shop)
        for body in _events(shop):
            assert _send(hooks, _path(org_a, shop), body).status_code == 200
        inline.drain(raise_errors=True)
        payment.refresh_from_db()
        assert (payment.status, payment.captured_minor) == ("captured", 1250)
        books.check()

    @pytest.mark.parametrize("order", [1, -1])
    def test_the_same_by_answer_and_webhook_in_any_order_counts_once(
        self, shop: Shop, hooks: APIClient, org_a: Any, order: int
    ) -> None:
        payment = shop.pay(capture_method="manual")
        payments.capture(payment_id=payment.id, amount_minor=900, by=make.STAFF)
        payments.advance(payment_id=payment.id)
        payments.refund(payment_id=payment.id, amount_minor=100, by=make.STAFF)
        payment = payments.advance(payment_id=payment.id)
        for body in _events(shop)[::order] * 2:
            assert _send(hooks, _path(org_a, shop), body).status_code == 200
        inline.drain(raise_errors=True)
        payment.refresh_from_db()
        assert (payment.status, payment.captured_minor, payment.refunded_minor) == ("captured", 900, 100)
        assert payment.transfers.count() == 3
        books.check()

    def test_out_of_order_from_nothing(self, shop: Shop, hooks: APIClient, org_a: Any) -> None:
        """The last event first: what came before it says nothing new."""
        payment = _silenced(shop, capture_method="manual")
        for body in _events(shop)[::-1]:
            _send(hooks, _path(org_a, shop), body)
        inline.drain(raise_errors=True)
        payment.refresh_from_db()
        assert payment.status == "authorized"
        books.check()

    def test_a_refusal_by_webhook_leads_to_the_next_account(self, shop: Shop, hooks: APIClient, org_a: Any) -> None:
        shop.sandbox.behave(
            shop.keys[0], {"kind": "decline"}, {"kind": "drop_after", "operation": "payment_intents.confirm"}
        )
        payment = shop.pay()
        assert payment.status == "unknown"
        for body in _events(shop, "payment_intent.payment_failed"):
            _send(hooks, _path(org_a, shop), body)
        inline.drain(raise_errors=True)
        payment.refresh_from_db()
        assert payment.status == "captured"
        assert shop.charges() == [("b", 1250)]

    def test_a_refund_that_comes_back_is_reversed(self, shop: Shop, hooks: APIClient, org_a: Any) -> None:
        shop.sandbox.set(refund_settles_s=0.05)
        payment = shop.pay("pm_card_refundFail")
        payments.refund(payment_id=payment.id, amount_minor=400, by=make.STAFF)
        payment = payments.advance(payment_id=payment.id)
        assert payment.refunded_minor == 400
        deadline = time.monotonic() + 10
        while not (bodies := _events(shop, "refund.failed")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        _send(hooks, _path(org_a, shop), bodies[0])
        inline.drain(raise_errors=True)
        payment.refresh_from_db()
        assert (payment.refunded_minor, payment.refunds.get().status) == (0, "failed")
        assert [row.reason for row in payment.transfers.order_by("id")] == ["charge", "refund", "refund_failed"]
        books.check()
        payments.refund(payment_id=payment.id, by=make.STAFF)

    def test_what_cannot_be_true_goes_to_a_human(self, shop: Shop, hooks: APIClient, org_a: Any) -> None:
        payment = shop.pay("pm_card_visa_chargeDeclinedStolenCard")
        assert payment.status == "failed"
        (body,) = _events(shop, "payment_intent.payment_failed")
        event = json.loads(body)
        event |= {"id": "evt_other", "type": "payment_intent.succeeded"}
        event["data"]["object"] |= {"status": "succeeded", "amount_received": 1250}
        _send(hooks, _path(org_a, shop), json.dumps(event).encode())
        inline.drain(raise_errors=True)
        payment.refresh_from_db()
        assert payment.status == "needs_review"
        assert payment.transfers.count() == 0

    @pytest.mark.parametrize("change", [{"amount_received": 9999}, {"currency": "eur"}, {"amount_received": None}])
    def test_another_amount_than_was_asked_goes_to_a_human(
        self, shop: Shop, hooks: APIClient, org_a: Any, change: dict[str, Any]
    ) -> None:
        payment = _silenced(shop)
        event = json.loads(_events(shop, "payment_intent.succeeded")[0])
        event["data"]["object"] |= change
        _send(hooks, _path(org_a, shop), json.dumps(event).encode())
        inline.drain(raise_errors=True)
        payment.refresh_from_db()
        assert (payment.status, payment.captured_minor) == ("needs_review", 0)


class TestRefusing:
    def test_a_signature_of_nobody(self, shop: Shop, hooks: APIClient, org_a: Any) -> None:
        shop.pay()
        body = _events(shop)[0]
        answer = _send(hooks, _path(org_a, shop), body, secret="whsec_other")
        assert (answer.status_code, answer.json()["code"]) == (400, "webhook_signature_invalid")
        assert not ProviderEvent.objects.filter(source="webhook").exists()

    @pytest.mark.parametrize(("age_s", "status"), [(290, 200), (-290, 200), (320, 400), (-320, 400)])
    def test_five_minutes_either_way(self, shop: Shop, hooks: APIClient, org_a: Any, age_s: int, status: int) -> None:
        shop.pay()
        assert _send(hooks, _path(org_a, shop), _events(shop)[0], age_s=age_s).status_code == status

    def test_a_changed_body(self, shop: Shop, hooks: APIClient, org_a: Any) -> None:
        shop.pay()
        body = _events(shop)[0]
        header = signature(body, secret=make.WEBHOOK_SECRET, timestamp=int(time.time()))
        answer = hooks.post(
            _path(org_a, shop), body + b" ", content_type="application/json", headers={"Stripe-Signature": header}
        )
        assert answer.status_code == 400

    @pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"id":"e","type":"t","created":1}'])
    def test_a_signed_body_that_is_no_event(self, shop: Shop, hooks: APIClient, org_a: Any, body: bytes) -> None:
        assert _send(hooks, _path(org_a, shop), body).status_code == 400

    def test_an_account_of_another_organization(self, shop: Shop, hooks: APIClient, org_b: Any) -> None:
        shop.pay()
        assert _send(hooks, _path(org_b, shop), _events(shop)[0]).status_code == 404

    def test_nobody_and_nothing(self, shop: Shop, hooks: APIClient, org_a: Any) -> None:
        path = _path(org_a, shop)
        assert hooks.get(path).status_code == 405
        assert _send(hooks, path.replace("/stripe/", "/adyen/"), b"{}").status_code == 404
        assert hooks.post("/stripe/nobody", b"{}", content_type="application/json").status_code == 404

    def test_an_oversized_body(self, shop: Shop, hooks: APIClient, org_a: Any) -> None:
        assert _send(hooks, _path(org_a, shop), b"x" * 2_000_000).status_code == 413


def test_what_a_provider_reports_of_a_suspended_organization_is_kept_and_applied_later(
    shop: Shop, hooks: APIClient, org_a: OrganizationContext
) -> None:
    payment = _silenced(shop)
    _put_into(org_a, "suspended")
    for body in _events(shop):
        assert _send(hooks, _path(org_a, shop), body).status_code == 200
    inline.drain(raise_errors=True)
    payment.refresh_from_db()
    assert payment.status == "unknown"
    _put_into(org_a, "active")
    claims.hurry(org_role=org_a.role_name, held=SUSPENDED_REASON)
    inline.drain(raise_errors=True)
    payment.refresh_from_db()
    assert (payment.status, payment.captured_minor) == ("captured", 1250)


def _put_into(org: OrganizationContext, status: str) -> None:
    with public_schema():
        Organization.objects.filter(id=org.id).update(status=status)
    directory.forget()


def test_events_are_stored_once_and_without_what_nobody_needs(shop: Shop, hooks: APIClient, org_a: Any) -> None:
    payment = shop.pay()
    (body,) = _events(shop, "payment_intent.succeeded")
    for _ in range(3):
        assert _send(hooks, _path(org_a, shop), body).status_code == 200
    stored = ProviderEvent.objects.get(source="webhook")
    assert (stored.said, stored.amount_minor, stored.reference) == (
        "captured",
        1250,
        payment.attempts.get().provider_reference,
    )
    secret = json.loads(body)["data"]["object"]["client_secret"]
    assert secret not in str(vars(stored))


def test_either_of_two_webhook_secrets_is_good(shop: Shop, hooks: APIClient, org_a: Any) -> None:
    payments.update_account(
        account=shop.accounts[0], webhook_secrets=["whsec_new_one", make.WEBHOOK_SECRET], by=make.STAFF
    )
    shop.pay()
    body = _events(shop)[0]
    assert _send(hooks, _path(org_a, shop), body, secret="whsec_new_one").status_code == 200
    assert _send(hooks, _path(org_a, shop), body).status_code == 200
