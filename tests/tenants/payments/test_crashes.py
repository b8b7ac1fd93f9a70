"""Dying at any point, under any fault of the provider: the person is charged once or not at all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as site
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from redis import Redis

from engine.clock import utc_now
from engine.tenancy.context import key_prefix
from tenants.payments import services as payments
from tenants.payments.models import Attempt
from tenants.payments.services import carrying
from tests.factories import payments as make
from tests.tenants.payments import books
from tests.tenants.payments.conftest import Shop

POINTS = ("before_call", "after_call", "inside_settle", "after_settle")
KINDS = (
    "decline", "revoked", "forbidden", "throttled", "unavailable",
    "error_before", "error_after", "drop_before", "drop_after",
)  # fmt: skip
OPERATIONS = ("*", "payment_intents.create", "payment_intents.confirm", "payment_intents.retrieve")


class Died(BaseException):
    """Not an Exception, so that nothing on the way can take it for a provider's failure."""


class Executioner:
    """Kills the worker at chosen points, one after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.points: list[str | None] = []
        perform, settle = carrying._perform, carrying._settle

        def performed(claim: carrying.Claim) -> Any:
            point = self.points.pop(0) if self.points else None
            self._at(point, "before_call")
            found = perform(claim)
            self._at(point, "after_call")
            self.point = point
            return found

        def settled(claim: carrying.Claim, found: Any, clock: Any) -> None:
            if self.point == "inside_settle":
                with carrying.transaction.atomic():
                    settle(claim, found, clock)
                    raise Died
            settle(claim, found, clock)
            self._at(self.point, "after_settle")

        monkeypatch.setattr(carrying, "_perform", performed)
        monkeypatch.setattr(carrying, "_settle", settled)

    def _at(self, point: str | None, here: str) -> None:
        if point == here:
            raise Died


class Time:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **amount: float) -> None:
        self.now += timedelta(**amount)


FAULTS = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(KINDS),
            "operation": st.sampled_from(OPERATIONS),
            "times": st.integers(1, 7) | st.none(),
        }
    ),
    max_size=3,
)


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    deaths=st.lists(st.sampled_from(POINTS) | st.none(), max_size=8),
    faults=st.tuples(FAULTS, FAULTS),
    manual=st.booleans(),
)
def test_charged_once_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, shop: Shop, deaths: list[str | None], faults: Any, manual: bool
) -> None:
    with monkeypatch.context() as patches:
        executioner, clock = Executioner(patches), Time()
        keys = (shop.sandbox.new_key(), shop.sandbox.new_key())
        accounts = [make.provider_account(shop.sandbox, key, priority=n) for n, key in enumerate(keys)]
        here = Shop(shop.sandbox, keys, (accounts[0], accounts[1]))
        payment = here.ask(capture_method="manual" if manual else "automatic", clock=clock)
        executioner.points = list(deaths)
        for key, each in zip(keys, faults, strict=True):
            shop.sandbox.behave(key, *each)
        for _ in range(len(deaths) + 3):
            _try(payment.id, clock)
            clock.pass_(seconds=50)
        executioner.points = []
        _close_breakers()
        for key in keys:
            shop.sandbox.behave(key)
        _until_decided(payment.id, clock)
        payment.refresh_from_db()
        effects = here.effects()
        taken = [kind for kind, _ in effects if kind in ("charge", "authorization")]
        if payment.status in ("captured", "authorized"):
            assert taken == ["authorization" if manual else "charge"]
        else:
            assert payment.status in ("failed", "voided")
            released = [kind for kind, _ in effects if kind == "release"]
            assert len(taken) == len(released)
        assert Attempt.objects.filter(payment=payment, status="contradicted").count() == 0
        books.check()


def _try(payment_id: Any, clock: Time) -> None:
    try:
        payments.advance(payment_id=payment_id, clock=clock)
    except Died:
        return


def _close_breakers() -> None:
    """Their cooldown is real time, which this test does not have."""
    with Redis.from_url(site.REDIS_URL) as redis:
        for key in redis.scan_iter(match=f"{key_prefix()}calls:*"):
            redis.delete(key)


def _until_decided(payment_id: Any, clock: Time) -> None:
    for _ in range(12):
        payment = payments.advance(payment_id=payment_id, clock=clock)
        if payments.next_look(payment, clock=clock) is None:
            return
        clock.pass_(hours=1)
    raise AssertionError(f"still {payment.status}")


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("act", ["capture", "refund", "void"])
def test_dying_in_an_operation(monkeypatch: pytest.MonkeyPatch, shop: Shop, point: str, act: str) -> None:
    executioner, clock = Executioner(monkeypatch), Time()
    payment = shop.pay(capture_method="automatic" if act == "refund" else "manual", clock=clock)
    do: Any = {"capture": payments.capture, "refund": payments.refund, "void": payments.void}[act]
    do(payment_id=payment.id, by=make.STAFF, clock=clock)
    executioner.points = [point]
    _try(payment.id, clock)
    clock.pass_(seconds=60)
    payment = payments.advance(payment_id=payment.id, clock=clock)
    assert payment.open_operations == 0
    expected = {
        "capture": [("authorization", 1250), ("charge", 1250)],
        "refund": [("charge", 1250), ("refund", 1250)],
        "void": [("authorization", 1250), ("release", 1250)],
    }
    assert shop.effects() == expected[act]
    books.check()


def test_the_executioner_does_kill(monkeypatch: pytest.MonkeyPatch, shop: Shop) -> None:
    """Without a lease and keys that are committed first, this is where a second charge would come from."""
    executioner, clock = Executioner(monkeypatch), Time()
    payment = shop.ask(clock=clock)
    executioner.points = [None, "after_call"]
    with pytest.raises(Died):
        payments.advance(payment_id=payment.id, clock=clock)
    assert shop.charges() == [("a", 1250)]
    payment.refresh_from_db()
    assert payment.status == "pending"
    attempt = payment.attempts.get()
    # A planted fault: a worker that forgets the committed key makes a new one, and charges again.
    Attempt.objects.filter(id=attempt.id).update(charge_key="new 1", place_key="new 2", status="created")
    Attempt.objects.filter(id=attempt.id).update(provider_reference=None)
    for _ in range(2):
        clock.pass_(seconds=60)
        payments.advance(payment_id=payment.id, clock=clock)
    assert shop.charges() == [("a", 1250), ("a", 1250)]
