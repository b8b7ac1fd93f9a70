"""The port to payment providers: one suite, over HTTP, for every adapter."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import stamina
import stripe

from devkit.sandbox.webhooks import signature
from engine.tenancy.context import OrganizationContext, organization
from tenants.payments.adapters import ADAPTERS, provider_of
from tenants.payments.adapters.base import BadSignature, Credentials, Order, PaymentProvider, Subject
from tenants.payments.rules import Fact, OperationState
from tests.devkit.sandbox.client import get
from tests.devkit.sandbox.server import SandboxProcess, running_sandbox

SECRETS = ("whsec_old", "whsec_new")
_keys = itertools.count()


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as process:
        yield process


@pytest.fixture(autouse=True)
def inside() -> Iterator[None]:
    names = ("slug", "schema_name", "role_name", "issuer", "environment", "cell", "time_zone", "locale", "currency")
    context = OrganizationContext(id=uuid4(), status="active", **dict.fromkeys(names, "nobody"))
    with organization(context), stamina.set_testing(True, attempts=3, cap=True):
        yield


@dataclass
class Side:
    """One adapter with an account of its own, and what really happened there."""

    provider: PaymentProvider
    sandbox: SandboxProcess
    secret_key: str

    def order(self, token: str = "pm_card_visa", **fields: Any) -> Order:
        values: dict[str, Any] = {
            "payment": f"pay_{uuid4().hex}",
            "attempt": f"att_{uuid4().hex}",
            "organization": "org_1",
            "amount_minor": 1250,
            "currency": "CHF",
            "manual_capture": False,
            "token": token,
        }
        return Order(**values | fields)

    def placed(self, order: Order) -> str:
        found = self.provider.place(order, key=new_key())
        assert found.fact is Fact.PLACED
        assert found.reference
        return found.reference

    def charged(self, token: str = "pm_card_visa", **fields: Any) -> str:
        order = self.order(token, **fields)
        reference = self.placed(order)
        self.provider.charge(order, reference=reference, key=new_key(), repeat=False)
        return reference

    def behave(self, *faults: dict[str, Any]) -> None:
        self.sandbox.behave(self.secret_key, *faults)

    def effects(self) -> list[tuple[str, int]]:
        return [(row["kind"], row["amount"]) for row in self.sandbox.effects(self.secret_key)]


def new_key() -> str:
    return f"key-{next(_keys)}-{uuid4().hex}"


@pytest.fixture(params=sorted(ADAPTERS))
def side(request: pytest.FixtureRequest, sandbox: SandboxProcess) -> Side:
    key = sandbox.new_key()
    provider = provider_of(
        provider=request.param,
        account=f"pacc_{key[-12:]}",
        base_url=sandbox.url,
        credentials=Credentials(secret_key=key, webhook_secrets=SECRETS),
    )
    return Side(provider, sandbox, key)


def test_placing_has_no_effect_and_charging_has_one(side: Side) -> None:
    order = side.order()
    reference = side.placed(order)
    assert side.effects() == []
    found = side.provider.charge(order, reference=reference, key=new_key(), repeat=False)
    assert (found.fact, found.amount_minor, found.currency) == (Fact.CAPTURED, 1250, "CHF")
    assert found.source_id
    assert side.effects() == [("charge", 1250)]


def test_the_same_key_has_one_effect(side: Side) -> None:
    order, place, charge = side.order(), new_key(), new_key()
    references = {side.provider.place(order, key=place).reference for _ in range(3)}
    assert len(references) == 1
    (reference,) = references
    findings = [
        side.provider.charge(order, reference=reference, key=charge, repeat=repeat) for repeat in (False, True, True)
    ]
    assert len(set(findings)) == 1
    assert side.effects() == [("charge", 1250)]


@pytest.mark.parametrize(
    ("token", "code", "elsewhere"),
    [
        ("pm_card_visa_chargeDeclined", "generic_decline", True),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds", False),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", False),
        ("pm_card_authenticationRequired", "authentication_required", False),
    ],
)
def test_a_decline_is_a_proof_for_every_sending(side: Side, token: str, code: str, elsewhere: bool) -> None:
    order, key = side.order(token), new_key()
    reference = side.placed(order)
    for repeat in (False, True):
        found = side.provider.charge(order, reference=reference, key=key, repeat=repeat)
        assert (found.fact, found.code, found.elsewhere) == (Fact.REFUSED, code, elsewhere)
    assert side.provider.look_up(reference=reference).fact is Fact.REFUSED
    assert side.effects() == []


@pytest.mark.parametrize("kind", ["revoked", "forbidden"])
def test_being_shut_out_proves_something_about_the_first_sending_only(side: Side, kind: str) -> None:
    order = side.order()
    reference = side.placed(order)
    side.behave({"kind": kind})
    first = side.provider.charge(order, reference=reference, key=new_key(), repeat=False)
    assert (first.fact, first.elsewhere) == (Fact.REFUSED, True)
    second = side.provider.charge(order, reference=reference, key=new_key(), repeat=True)
    assert second.fact is Fact.UNDECIDED


@pytest.mark.parametrize(
    ("kind", "available"),
    [
        ("throttled", False),
        ("unavailable", True),
        ("error_before", True),
        ("error_after", True),
        ("drop_before", True),
        ("drop_after", True),
    ],
)
def test_silence_is_undecided(side: Side, kind: str, available: bool) -> None:
    order = side.order()
    reference = side.placed(order)
    side.behave({"kind": kind})
    found = side.provider.charge(order, reference=reference, key=new_key(), repeat=False)
    assert (found.fact, found.available) == (Fact.UNDECIDED, available)


def test_nobody_there_is_not_available(side: Side) -> None:
    nowhere = provider_of(
        provider=side.provider.name,
        account="pacc_nowhere",
        base_url="http://127.0.0.1:9",
        credentials=Credentials(secret_key="sk_test_none"),
    )
    found = nowhere.charge(side.order(), reference="pi_1", key=new_key(), repeat=False)
    assert (found.fact, found.available, found.elsewhere) == (Fact.UNDECIDED, False, True)
    assert nowhere.look_up(reference="pi_1").fact is Fact.UNDECIDED


def test_looking_up_never_takes_absence_for_proof(side: Side) -> None:
    assert side.provider.look_up(reference="pi_never_heard_of").fact is Fact.UNDECIDED
    assert side.provider.look_up(reference="../events").fact is Fact.UNDECIDED


def test_capturing_part_releases_the_rest(side: Side) -> None:
    reference = side.charged(manual_capture=True)
    assert side.provider.look_up(reference=reference).fact is Fact.AUTHORIZED
    key = new_key()
    for repeat in (False, True):
        found = side.provider.capture(reference=reference, amount_minor=1000, key=key, repeat=repeat)
        assert (found.state, found.amount_minor) == (OperationState.SUCCEEDED, 1000)
        assert found.charge is not None
        assert found.charge.fact is Fact.CAPTURED
    assert side.effects() == [("authorization", 1250), ("charge", 1000), ("release", 250)]


def test_cancelling_is_a_proof(side: Side) -> None:
    order = side.order()
    reference = side.placed(order)
    assert side.provider.cancel(reference=reference, key=new_key(), repeat=False).state is OperationState.SUCCEEDED
    late = side.provider.charge(order, reference=reference, key=new_key(), repeat=True)
    assert late.fact is Fact.CANCELED
    assert side.effects() == []


def test_what_was_taken_cannot_be_cancelled(side: Side) -> None:
    reference = side.charged()
    found = side.provider.cancel(reference=reference, key=new_key(), repeat=True)
    assert found.state is OperationState.REFUSED
    assert found.charge is not None
    assert found.charge.fact is Fact.CAPTURED


def test_what_was_cancelled_cannot_be_captured(side: Side) -> None:
    reference = side.charged(manual_capture=True)
    side.provider.cancel(reference=reference, key=new_key(), repeat=False)
    found = side.provider.capture(reference=reference, amount_minor=1250, key=new_key(), repeat=True)
    assert found.state is OperationState.REFUSED


def test_refunds_carry_our_id_and_are_found_by_it(side: Side) -> None:
    reference, key = side.charged(), new_key()
    refund = {"reference": reference, "amount_minor": 500, "refund": "ref_1", "key": key}
    first = side.provider.refund(**refund, repeat=False)
    assert (first.state, first.amount_minor, first.currency) == (OperationState.SUCCEEDED, 500, "CHF")
    assert side.provider.refund(**refund, repeat=True) == first
    by_our_id = side.provider.look_up_refund(reference=reference, refund="ref_1", provider_reference="")
    by_theirs = side.provider.look_up_refund(reference=reference, refund="ref_1", provider_reference=first.reference)
    assert by_our_id.reference == by_theirs.reference == first.reference
    absent = side.provider.look_up_refund(reference=reference, refund="ref_2", provider_reference="")
    assert absent.state is OperationState.UNKNOWN
    assert side.effects() == [("charge", 1250), ("refund", 500)]


def test_more_than_was_taken_is_not_refunded(side: Side) -> None:
    reference = side.charged()
    refund: dict[str, Any] = {"reference": reference, "amount_minor": 1251, "refund": "ref_1", "key": new_key()}
    assert side.provider.refund(**refund, repeat=False).state is OperationState.REFUSED
    assert side.provider.refund(**refund, repeat=True).state is OperationState.UNKNOWN


@pytest.mark.parametrize("act", ["capture", "cancel", "refund"])
@pytest.mark.parametrize("kind", ["revoked", "throttled", "drop_after", "error_after", "unavailable"])
def test_an_operation_without_an_answer_is_unknown(side: Side, act: str, kind: str) -> None:
    reference = side.charged(manual_capture=act != "refund")
    side.behave({"kind": kind})
    acts: dict[str, Callable[[], Any]] = {
        "capture": lambda: side.provider.capture(reference=reference, amount_minor=1250, key=new_key(), repeat=False),
        "cancel": lambda: side.provider.cancel(reference=reference, key=new_key(), repeat=False),
        "refund": lambda: side.provider.refund(
            reference=reference, amount_minor=1, refund="ref_1", key=new_key(), repeat=False
        ),
    }
    assert acts[act]().state is OperationState.UNKNOWN


class TestNotices:
    def _events(self, side: Side) -> list[bytes]:
        rows = get(side.sandbox, side.secret_key, "/v1/events", limit="100").json()["data"]
        return [json.dumps(row).encode() for row in rows]

    def _read(self, side: Side, body: bytes, *, secret: str = SECRETS[0], age: timedelta = timedelta()) -> Any:
        now = datetime.now(UTC)
        header = signature(body, secret=secret, timestamp=int((now - age).timestamp()))
        return side.provider.read_notice(body=body, headers={"stripe-signature": header}, now=now)

    def test_they_say_the_same_as_the_answers(self, side: Side) -> None:
        reference = side.charged()
        side.provider.refund(reference=reference, amount_minor=500, refund="ref_1", key=new_key(), repeat=False)
        notices = {notice.kind: notice for notice in (self._read(side, body) for body in self._events(side))}
        done = notices["payment_intent.succeeded"]
        assert (done.subject, done.reference, done.charge.fact) == (Subject.CHARGE, reference, Fact.CAPTURED)
        assert done.charge.amount_minor == 1250
        assert done.owner["organization"] == "org_1"
        refund = notices["refund.created"]
        assert (refund.subject, refund.charge_reference) == (Subject.REFUND, reference)
        assert (refund.refund.state, refund.owner["refund"]) == (OperationState.SUCCEEDED, "ref_1")
        assert notices["charge.succeeded"].subject is Subject.OTHER

    @pytest.mark.parametrize("secret", SECRETS)
    def test_every_current_secret_is_good_and_the_providers_library_agrees(self, side: Side, secret: str) -> None:
        side.charged()
        body = self._events(side)[0]
        notice = self._read(side, body, secret=secret)
        header = signature(body, secret=secret, timestamp=int(time.time()))
        assert stripe.Webhook.construct_event(body, header, secret).id == notice.event_id

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "t=1",
            "v1=00",
            "t=x,v1=00",
            "t={now},v1=00",
            "t={now},v0={good}",
            "t={now},t={now},v1={good}",
            "t={now},v1=é",
        ],
    )
    def test_a_header_that_proves_nothing(self, side: Side, header: str) -> None:
        body, now = b"{}", int(time.time())
        good = signature(body, secret=SECRETS[0], timestamp=now).partition("v1=")[2]
        headers = {"stripe-signature": header.format(now=now, good=good)}
        with pytest.raises(BadSignature):
            side.provider.read_notice(body=body, headers=headers, now=datetime.now(UTC))

    @pytest.mark.parametrize("age", [timedelta(seconds=310), timedelta(seconds=-310)])
    def test_too_old_or_too_new(self, side: Side, age: timedelta) -> None:
        side.charged()
        with pytest.raises(BadSignature):
            self._read(side, self._events(side)[0], age=age)

    def test_several_signatures_in_one_header(self, side: Side) -> None:
        side.charged()
        body = self._events(side)[0]
        header = signature(body, secret=SECRETS[1], timestamp=int(time.time())).replace(",v1=", f",v1={'0' * 64},v1=")
        notice = side.provider.read_notice(body=body, headers={"stripe-signature": header}, now=datetime.now(UTC))
        assert notice.event_id.startswith("evt_")


def test_secrets_do_not_show(side: Side) -> None:
    credentials = Credentials(secret_key="sk_test_hidden", webhook_secrets=("whsec_hidden",))
    assert "hidden" not in repr(credentials)
    assert "hidden" not in repr(side.order("hidden"))
