"""Several workers at once, with real commits."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from engine.tenancy.context import OrganizationContext, organization
from tenants.payments import services as payments
from tenants.payments.models import Attempt, LedgerAccount, Payment, ProviderEvent
from tests.devkit.sandbox.server import SandboxProcess
from tests.factories import payments as make
from tests.harness.live import LiveDatabase
from tests.tenants.payments import books
from tests.tenants.payments.conftest import Shop

WORKERS = 6


@pytest.fixture
def live_shop(live_db: LiveDatabase, sandbox: SandboxProcess, org_a: OrganizationContext) -> Any:
    with organization(org_a):
        keys = (sandbox.new_key(), sandbox.new_key())
        accounts = [make.provider_account(sandbox, key, priority=n) for n, key in enumerate(keys)]
        yield Shop(sandbox, keys, (accounts[0], accounts[1]))


def _together(org: OrganizationContext, act: Callable[[int], Any], workers: int = WORKERS) -> list[Any]:
    """Run ``act`` in many threads that start at the same moment; results and exceptions in order."""
    barrier = threading.Barrier(workers)

    def run(number: int) -> Any:
        try:
            with organization(org):
                barrier.wait(timeout=10)
                return act(number)
        except Exception as error:
            return error
        finally:
            connection.close()

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return list(pool.map(run, range(workers)))


def test_many_workers_make_one_call(live_shop: Shop, org_a: OrganizationContext) -> None:
    asked = [live_shop.ask() for _ in range(3)]
    for payment in asked:
        results = _together(org_a, lambda _, payment_id=payment.id: payments.advance(payment_id=payment_id))
        assert [type(result) for result in results] == [Payment] * WORKERS
        assert payments.advance(payment_id=payment.id).status == "captured"
        assert Attempt.objects.get(payment=payment).sends == 1
    assert live_shop.charges() == [("a", 1250)] * 3
    books.check()


def test_many_payments_at_once_share_the_books(live_shop: Shop, org_a: OrganizationContext) -> None:
    asked = [live_shop.ask() for _ in range(WORKERS)]
    results = _together(org_a, lambda n: payments.advance(payment_id=asked[n].id).status)
    assert results == ["captured"] * WORKERS
    assert LedgerAccount.objects.count() == 2
    books.check()


def test_no_more_is_refunded_than_was_taken(live_shop: Shop, org_a: OrganizationContext) -> None:
    payment = live_shop.pay()

    def refund(_: int) -> str:
        payments.refund(payment_id=payment.id, amount_minor=500, by=make.STAFF)
        payments.advance(payment_id=payment.id)
        return "ok"

    results = _together(org_a, refund)
    assert results.count("ok") == 2
    assert all(isinstance(each, payments.AmountTooLarge) for each in results if each != "ok")
    payment = payments.advance(payment_id=payment.id)
    assert payment.refunded_minor == 1000
    assert live_shop.effects() == [("charge", 1250), ("refund", 500), ("refund", 500)]
    books.check()


def test_capture_and_void_are_not_both_done(live_shop: Shop, org_a: OrganizationContext) -> None:
    payment = live_shop.pay(capture_method="manual")

    def either(number: int) -> str:
        act = payments.capture if number % 2 else payments.void
        act(payment_id=payment.id, by=make.STAFF)
        return "ok"

    results = _together(org_a, either)
    assert results.count("ok") == 1
    payment = payments.advance(payment_id=payment.id)
    assert payment.status in ("captured", "voided")
    books.check()


def test_one_event_delivered_many_times_at_once_is_stored_once(live_shop: Shop, org_a: OrganizationContext) -> None:
    import json
    import time

    from devkit.sandbox.webhooks import signature
    from tests.devkit.sandbox.client import get

    payment = live_shop.pay()
    (event,) = get(live_shop.sandbox, live_shop.keys[0], "/v1/events", type="payment_intent.succeeded").json()["data"]
    body = json.dumps(event).encode()
    header = signature(body, secret=make.WEBHOOK_SECRET, timestamp=int(time.time()))

    def deliver(_: int) -> Any:
        stored = payments.receive(
            provider="stripe",
            account_id=live_shop.accounts[0].id,
            body=body,
            headers={"stripe-signature": header},
        )
        return stored.id

    assert len(set(_together(org_a, deliver))) == 1
    assert ProviderEvent.objects.filter(source="webhook").count() == 1
    assert payment.transfers.count() == 1
