"""Checkouts with a real matcher, a real provider sandbox and real commits."""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from engine import ids
from engine.clock import utc_now
from engine.errors import InvalidInput, NotFound
from engine.outbox import Postpone
from engine.outbox.inline import drain
from engine.tenancy.context import organization
from tenants.access.models import Grant
from tenants.audit.models import Entry
from tenants.checkouts import finishing, services, taking
from tenants.checkouts.gateway import CheckoutFrame, resume
from tenants.checkouts.models import Checkout, PersonPin, UsedProbe
from tenants.devices.models import DeviceCommand
from tenants.events import services as events
from tenants.events.models import Event
from tenants.identity import services as identity
from tenants.payments import services as payments
from tenants.payments.models import Payment
from tenants.usage.models import Record
from tests.factories import payments as make
from tests.factories.checkouts import Terminal, as_text, face, seen, terminal
from tests.factories.device_keys import DeviceKey
from tests.tenants.checkouts.conftest import Shop

# One database, and what runs on it, for the module: keep its tests on one worker.
pytestmark = pytest.mark.xdist_group("checkouts")

ABOVE = 10_001


def later(**by: float) -> Any:
    moment = utc_now() + timedelta(**by)
    return lambda: moment


def asked(shop: Shop, frame: dict[str, Any]) -> taking.Asked:
    """What the handler makes of a frame, for tests that stop half-way."""
    captured: list[taking.Asked] = []

    def stop(*, asked: taking.Asked) -> Checkout:
        captured.append(asked)
        raise InterruptedError

    from tenants.checkouts import gateway

    original, gateway.services.take = gateway.services.take, stop  # type: ignore[assignment]
    try:
        shop.terminal.send(frame)
    except InterruptedError:
        pass
    finally:
        gateway.services.take = original
    return captured[0]


# --- The main job ----------------------------------------------------------------------------------------


def test_the_right_person_is_charged_and_one_id_ties_it_all(shop: Shop) -> None:
    ada, _ = shop.customer(), shop.customer()
    reply = shop.terminal.charge(ada.face)

    assert (reply.status, reply.person, reply.reason) == ("approved", ada.public_id, None)
    assert shop.charges() == [1250]
    row = shop.row()
    assert reply.checkout == row.public_id
    payment = Payment.objects.get(id=row.payment_id)
    assert (payment.reference, payment.person_id, payment.status) == (row.public_id, ada.id, "captured")
    assert row.template_id == ada.template_id
    assert row.gallery_size == 2
    assert row.score is not None
    assert row.threshold is not None
    assert row.score >= row.threshold
    entries = Entry.objects.filter(resource=row.public_id).order_by("id")
    assert [one.action for one in entries] == ["checkout.recognised", "checkout.approved"]
    assert {one.actor_id for one in entries} == {shop.terminal.device.id}
    assert {one.decision_id for one in entries} == {row.grant_id}
    assert Record.objects.get(source_id=row.public_id).quantity == 1
    told = Event.objects.filter(type__startswith="checkout.", body__contains=row.public_id).order_by("id")
    assert [one.type for one in told] == ["checkout.recognised", "checkout.approved"]


def test_the_same_frame_again_gets_the_same_answer_and_no_second_charge(shop: Shop) -> None:
    ada = shop.customer()
    frame = shop.terminal.frame(seen(ada.face))
    first = shop.terminal.send(frame)
    assert [shop.terminal.send(frame) for _ in range(3)] == [first] * 3
    assert shop.charges() == [1250]


def test_a_sequence_serves_one_frame_only(shop: Shop) -> None:
    ada = shop.customer()
    shop.terminal.charge(ada.face)
    again = shop.terminal.frame(seen(ada.face), sequence=shop.terminal.sequence)
    with pytest.raises(services.SequenceReused):
        shop.terminal.send(again)
    assert shop.charges() == [1250]


def test_a_stranger_is_not_recognised(shop: Shop) -> None:
    shop.customer()
    reply = shop.terminal.charge(face())
    assert (reply.status, reply.reason) == ("not_recognised", "score_too_low")
    assert reply.person is None
    assert shop.charges() == []
    row = shop.row()
    assert (row.person_id, row.template_id, row.payment_id) == (None, None, None)


def test_an_empty_gallery_recognises_nobody(shop: Shop) -> None:
    assert shop.terminal.charge(face()).reason == "no_candidate"


def test_of_two_who_are_too_much_alike_nobody_is_charged(shop: Shop) -> None:
    ada = shop.customer()
    shop.customer(seen(ada.face, noise=0.005))
    reply = shop.terminal.charge(ada.face)
    assert (reply.status, reply.reason) == ("not_recognised", "ambiguous")
    assert shop.charges() == []


def test_a_probe_of_other_dimensions_is_not_recognised(shop: Shop) -> None:
    shop.customer()
    reply = shop.terminal.send(shop.terminal.frame(face()[:64]))
    assert (reply.status, reply.reason) == ("not_recognised", "probe_not_comparable")


def test_people_of_another_organization_are_strangers(shop: Shop, other_shop: Shop) -> None:
    shop.customer()
    with organization(other_shop.organization):
        eve = other_shop.customer()
    stranger = Terminal(device=shop.terminal.device, model=other_shop.model, sequence=50)
    reply = stranger.charge(eve.face)
    assert (reply.status, reply.reason) == ("not_recognised", "no_candidate")
    assert other_shop.charges() == []


def test_a_withdrawn_consent_to_pay_stops_the_next_checkout(shop: Shop) -> None:
    ada = shop.customer()
    identity.withdraw_consent(consent_id=ada.consents["pay"], by=make.STAFF)
    reply = shop.terminal.charge(ada.face)
    assert (reply.status, reply.reason) == ("not_recognised", "person_changed")
    assert shop.charges() == []


# --- What may not even be tried ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"amount_minor": 50_001}, "amount_above_limit"),
        ({"currency": "XTS"}, "currency_mismatch"),
        ({"at": utc_now() - timedelta(minutes=10)}, "probe_stale"),
        ({"at": utc_now() + timedelta(hours=1)}, "probe_from_the_future"),
        ({"liveness": {"method": "passive", "score": 0.1}}, "liveness_too_low"),
        ({"confirmation": {"checkout": "chk_00000000000000000000000000"}}, "confirmation_not_accepted"),
    ],
)
def test_a_checkout_against_the_rules_is_declined(shop: Shop, changes: dict[str, Any], reason: str) -> None:
    ada = shop.customer()
    frame = shop.terminal.frame(seen(ada.face), **changes)
    reply = shop.terminal.send(frame)
    assert (reply.status, reply.reason) == ("declined", reason)
    assert shop.terminal.send(frame) == reply
    assert shop.charges() == []
    assert shop.row().gallery_size is None


def test_a_probe_is_good_for_one_checkout(shop: Shop) -> None:
    ada = shop.customer()
    probe = seen(ada.face)
    assert shop.terminal.send(shop.terminal.frame(probe)).status == "approved"
    again = shop.terminal.send(shop.terminal.frame(probe))
    assert (again.status, again.reason) == ("declined", "probe_replayed")
    elsewhere = terminal(shop.organization, model=shop.model)
    assert elsewhere.send(elsewhere.frame(probe)).reason == "probe_replayed"
    assert shop.charges() == [1250]


def test_a_device_without_the_permission_charges_nobody(shop: Shop) -> None:
    ada = shop.customer()
    Grant.objects.filter(principal_id=shop.terminal.device.id).delete()
    assert shop.terminal.charge(ada.face).reason == "permission_denied"
    assert shop.charges() == []


@pytest.mark.parametrize("member", ["amount_minor", "captured_at", "claimed_person", "liveness"])
def test_a_frame_that_was_changed_on_its_way_is_refused(shop: Shop, member: str) -> None:
    frame = shop.terminal.frame(face())
    changed: dict[str, Any] = {
        "amount_minor": 1251,
        "captured_at": utc_now().isoformat(),
        "claimed_person": ids.encode("per", ids.uuid7()),
        "liveness": {"method": "passive", "score": 0.98},
    }
    with pytest.raises(services.InvalidSignature):
        shop.terminal.send({**frame, member: changed[member]})
    assert not Checkout.objects.filter(device_id=shop.terminal.device.id).exists()


def test_a_frame_that_another_device_signed_is_refused(shop: Shop) -> None:
    frame = shop.terminal.frame(face())
    del frame["signature"]
    with pytest.raises(services.InvalidSignature):
        shop.terminal.send(DeviceKey().sign(frame))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"probe": "!!!"}, "probe"),
        ({"probe": ""}, "probe"),
        ({"probe": base64.b64encode(b"\0" * 512).decode()}, "probe"),
        ({"probe": base64.b64encode(b"\0\0\xc0\x7f" * 128).decode()}, "probe"),
        ({"probe": as_text(face())[:-4]}, "probe"),
        ({"claimed_person": "dev_00000000000000000000000000"}, "claimed_person"),
        ({"confirmation": {"checkout": "nonsense"}}, "confirmation.checkout"),
    ],
)
def test_a_frame_with_a_bad_value_names_the_field(shop: Shop, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        shop.terminal.send(shop.terminal.frame(face(), **changes))
    assert caught.value.field == field


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_minor": 0},
        {"amount_minor": -5},
        {"amount_minor": 12.5},
        {"amount_minor": "1250"},
        {"amount_minor": True},
        {"amount_minor": 10**13},
        {"sequence": 0},
        {"sequence": 2**53},
        {"currency": "eur"},
        {"currency": "EURO"},
        {"modality": "gait"},
        {"model": "a model"},
        {"captured_at": 1},
        {"captured_at": "2026-05-04T12:00:00"},
        {"captured_at": "yesterday"},
        {"liveness": {"method": "passive"}},
        {"liveness": {"method": "passive", "score": 1.01}},
        {"liveness": {"method": "passive", "score": "high"}},
        {"confirmation": {"pin": "12"}},
        {"confirmation": {"pin": 1234}},
        {"probe": "A" * 20_000},
        {"surprise": 1},
    ],
)
def test_the_schema_takes_nothing_else(changes: dict[str, Any]) -> None:
    good = {
        "type": "checkout",
        "sequence": 1,
        "amount_minor": 1250,
        "currency": "EUR",
        "modality": "face",
        "model": "arc-1",
        "probe": as_text(face()),
        "captured_at": "2026-05-04T12:00:00Z",
        "liveness": {"method": "passive", "score": 1},
        "signature": "x",
    }
    CheckoutFrame.model_validate(good)
    with pytest.raises(ValueError, match="validation error"):
        CheckoutFrame.model_validate({**good, **changes})


# --- The second factor -----------------------------------------------------------------------------------


def test_a_large_amount_asks_for_more_and_names_nobody(shop: Shop) -> None:
    ada = shop.customer()
    reply = shop.terminal.charge(ada.face, amount_minor=ABOVE)
    assert (reply.status, reply.reason) == ("confirmation_required", "above_confirmation_limit")
    assert (reply.person, reply.payment) == (None, None)
    assert shop.charges() == []


def test_a_claim_confirms_it(shop: Shop) -> None:
    ada = shop.customer()
    first = shop.terminal.charge(ada.face, amount_minor=ABOVE)
    confirmation = {"checkout": first.checkout}
    second = shop.terminal.charge(ada.face, amount_minor=ABOVE, claimed_person=ada.public_id, confirmation=confirmation)
    assert (second.status, second.person) == ("approved", ada.public_id)
    assert shop.row().confirms_id == ids.decode("chk", first.checkout)
    third = shop.terminal.charge(ada.face, amount_minor=ABOVE, claimed_person=ada.public_id, confirmation=confirmation)
    assert third.reason == "confirmation_not_accepted"
    assert shop.charges() == [ABOVE]


@pytest.mark.parametrize("amount", [1250, ABOVE])
def test_a_wrong_claim_declines_any_amount(shop: Shop, amount: int) -> None:
    ada, bob = shop.customer(), shop.customer()
    reply = shop.terminal.charge(ada.face, amount_minor=amount, claimed_person=bob.public_id)
    assert (reply.status, reply.reason) == ("declined", "claim_mismatch")
    assert shop.charges() == []


def test_a_confirmation_is_for_the_same_amount_and_person(shop: Shop) -> None:
    ada, bob = shop.customer(), shop.customer()
    first = shop.terminal.charge(ada.face, amount_minor=ABOVE)
    dearer = shop.terminal.charge(
        ada.face, amount_minor=ABOVE + 1, claimed_person=ada.public_id, confirmation={"checkout": first.checkout}
    )
    assert dearer.reason == "confirmation_not_accepted"
    other = shop.terminal.charge(
        bob.face, amount_minor=ABOVE, claimed_person=bob.public_id, confirmation={"checkout": first.checkout}
    )
    assert other.reason == "confirmation_not_accepted"
    assert shop.charges() == []


def test_a_pin_confirms_it_and_is_not_kept(shop: Shop) -> None:
    ada = shop.customer()
    services.set_pin(person_id=ada.id, pin="4711", by=make.STAFF)
    assert "4711" not in PersonPin.objects.get(person_id=ada.id).hashed
    reply = shop.terminal.charge(ada.face, amount_minor=ABOVE, confirmation={"pin": "4711"})
    assert reply.status == "approved"


def test_a_pin_is_void_after_five_wrong_guesses(shop: Shop) -> None:
    ada = shop.customer()
    services.set_pin(person_id=ada.id, pin="4711", by=make.STAFF)
    for _ in range(5):
        reply = shop.terminal.charge(ada.face, amount_minor=ABOVE, confirmation={"pin": "0815"})
        assert (reply.status, reply.reason) == ("declined", "pin_not_accepted")
    right = shop.terminal.charge(ada.face, amount_minor=ABOVE, confirmation={"pin": "4711"})
    assert right.reason == "pin_not_accepted"
    services.set_pin(person_id=ada.id, pin="4711", by=make.STAFF)
    assert shop.terminal.charge(ada.face, amount_minor=ABOVE, confirmation={"pin": "4711"}).status == "approved"
    assert shop.charges() == [ABOVE]


def test_an_erased_persons_pin_is_forgotten(shop: Shop) -> None:
    ada, bob = shop.customer(accounts=[]), shop.customer(accounts=[])
    for person in (ada, bob):
        services.set_pin(person_id=person.id, pin="4711", by=make.STAFF)
    identity.erase_person(person_id=ada.id, by=make.STAFF)
    events.seal()
    assert not PersonPin.objects.filter(person_id=ada.id).exists()
    assert PersonPin.objects.filter(person_id=bob.id).exists()
    with pytest.raises(NotFound):
        services.set_pin(person_id=ada.id, pin="4711", by=make.STAFF)


@pytest.mark.parametrize("pin", ["", "123", "1234", "4321", "7777", "12a4", "1234567890123", "١٢٣٥"])
def test_a_pin_that_is_easily_guessed_is_refused(shop: Shop, pin: str) -> None:
    ada = shop.customer(accounts=[])
    with pytest.raises(services.MalformedPin):
        services.set_pin(person_id=ada.id, pin=pin, by=make.STAFF)


# --- Payments that do not go through ---------------------------------------------------------------------


def test_who_has_no_card_is_declined(shop: Shop) -> None:
    ada = shop.customer(accounts=[])
    reply = shop.terminal.charge(ada.face)
    assert (reply.status, reply.reason) == ("declined", "no_payment_method")


def test_a_refused_card_declines_the_checkout(shop: Shop) -> None:
    ada = shop.customer(token="pm_card_visa_chargeDeclinedStolenCard")
    reply = shop.terminal.charge(ada.face)
    assert (reply.status, reply.reason) == ("declined", "payment_refused")
    assert shop.charges() == []


def test_the_second_account_charges_when_the_first_refuses(shop: Shop) -> None:
    ada = shop.customer()
    shop.sandbox.behave(shop.keys[0], {"kind": "decline"})
    assert shop.terminal.charge(ada.face).status == "approved"
    assert [row["key"] for row in shop.sandbox.charges(*shop.keys)] == [shop.keys[1]]


def test_a_provider_that_says_nothing_leaves_it_unknown_until_it_is_found_out(shop: Shop) -> None:
    ada = shop.customer()
    shop.sandbox.behave(shop.keys[0], {"kind": "drop_after", "operation": "payment_intents.confirm"})
    frame = shop.terminal.frame(seen(ada.face))
    reply = shop.terminal.send(frame)
    assert (reply.status, reply.person) == ("unknown", ada.public_id)
    row = shop.row()
    with pytest.raises(Postpone):
        services.advance(checkout_id=row.id)
    shop.sandbox.behave(shop.keys[0])

    services.advance(checkout_id=row.id, clock=later(minutes=2))
    assert shop.terminal.send(frame).status == "approved"
    assert shop.charges() == [1250]
    command = DeviceCommand.objects.get(device_id=shop.terminal.device.id)
    assert (command.name, command.body["status"]) == ("checkout.updated", "approved")
    told = Event.objects.filter(type__startswith="checkout.", body__contains=row.public_id).order_by("id")
    assert [one.type for one in told] == ["checkout.recognised", "checkout.unknown", "checkout.approved"]


def test_a_payment_that_was_settled_elsewhere_wakes_its_checkout(shop: Shop) -> None:
    ada = shop.customer()
    shop.sandbox.behave(shop.keys[0], {"kind": "drop_after", "operation": "payment_intents.confirm"})
    assert shop.terminal.charge(ada.face).status == "unknown"
    shop.sandbox.behave(shop.keys[0])
    row = shop.row()
    # The reconciler, or the provider's webhook, comes first; the checkout only hears of it.
    payments.advance(payment_id=row.payment_id, clock=later(minutes=2))
    finishing.let_go(row)
    drain(rounds=20)
    assert shop.row().state == "approved"
    assert shop.charges() == [1250]


def test_a_payment_that_needs_a_human_says_so_and_stays_open(shop: Shop) -> None:
    ada = shop.customer()
    shop.sandbox.behave(shop.keys[0], {"kind": "drop_after", "operation": "payment_intents.confirm"})
    frame = shop.terminal.frame(seen(ada.face))
    assert shop.terminal.send(frame).reason is None
    row = shop.row()
    Payment.objects.filter(id=row.payment_id).update(status="needs_review")
    finishing.let_go(row)
    with pytest.raises(Postpone):
        services.advance(checkout_id=row.id, clock=later(days=2))
    reply = shop.terminal.send(frame)
    assert (reply.status, reply.reason) == ("unknown", "payment_in_review")


# --- Interruptions ---------------------------------------------------------------------------------------


def begun(shop: Shop, frame: dict[str, Any]) -> Checkout:
    """What is left when the process dies right after the first commit."""
    row, is_ours = taking._begun_or_found(asked(shop, frame), clock=utc_now)
    assert is_ours
    return row


def test_while_somebody_works_on_it_a_repeat_is_told_to_wait(shop: Shop) -> None:
    ada = shop.customer()
    frame = shop.terminal.frame(seen(ada.face))
    begun(shop, frame)
    reply = shop.terminal.send(frame)
    assert (reply.status, reply.retry_after_ms) == ("processing", 1000)
    assert shop.charges() == []


def test_a_repeat_goes_on_where_a_dead_process_stopped(shop: Shop) -> None:
    ada = shop.customer()
    frame = shop.terminal.frame(seen(ada.face))
    begun(shop, frame)
    row = services.take(asked=asked(shop, frame), clock=later(seconds=9))
    assert row.state == "approved"
    assert shop.charges() == [1250]


def test_a_device_that_insists_comes_before_the_end(shop: Shop) -> None:
    ada = shop.customer()
    frame = shop.terminal.frame(seen(ada.face))
    row = begun(shop, frame)
    finishing.take_over(checkout_id=row.id, clock=later(seconds=29))
    with pytest.raises(Postpone) as caught:
        services.advance(checkout_id=row.id, clock=later(seconds=31))
    assert timedelta(0) < caught.value.delay <= finishing.LEASE


def test_without_a_repeat_it_expires_and_nobody_is_charged(shop: Shop) -> None:
    ada = shop.customer()
    frame = shop.terminal.frame(seen(ada.face))
    row = begun(shop, frame)
    with pytest.raises(Postpone) as caught:
        services.advance(checkout_id=row.id)
    assert finishing.LEASE < caught.value.delay <= finishing.ABANDONED_AFTER
    services.advance(checkout_id=row.id, clock=later(seconds=31))
    services.advance(checkout_id=row.id, clock=later(seconds=31))
    reply = shop.terminal.send(frame)
    assert (reply.status, reply.reason) == ("expired", "interrupted")
    assert shop.charges() == []
    assert DeviceCommand.objects.filter(device_id=shop.terminal.device.id).count() == 1


def test_a_checkout_that_was_decided_is_paid_by_whoever_comes_next(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = shop.customer()
    frame = shop.terminal.frame(seen(ada.face))

    def die(**_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(finishing, "pay", die)
        shop.terminal.send(frame)
    row = shop.row()
    assert (row.state, shop.charges()) == ("paying", [])
    services.advance(checkout_id=row.id, clock=later(seconds=31))
    assert shop.terminal.send(frame).status == "approved"
    assert shop.charges() == [1250]


def test_what_one_worker_decided_another_does_not_decide_again(shop: Shop) -> None:
    ada = shop.customer()
    frame = shop.terminal.frame(seen(ada.face))
    slow = begun(shop, frame)
    row = services.take(asked=asked(shop, frame), clock=later(seconds=31))
    assert row.state == "approved"
    found = identity.search(modality="face", model=shop.model, vector=asked(shop, frame).probe)
    from tenants.checkouts import deciding

    late = deciding.decide(checkout=slow, found=found, pin=None)
    assert (late.state, late.payment_id) == ("approved", row.payment_id)
    assert shop.charges() == [1250]


def test_eight_who_send_the_same_frame_at_once_charge_once(shop: Shop) -> None:
    ada = shop.customer()
    frame = shop.terminal.frame(seen(ada.face))

    def send(_: int) -> str:
        try:
            return shop.terminal.send(frame).status
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(send, range(8)))
    assert set(statuses) <= {"approved", "processing"}
    assert "approved" in statuses
    assert shop.charges() == [1250]
    assert Checkout.objects.filter(device_id=shop.terminal.device.id).count() == 1


def test_a_matcher_that_is_away_leaves_the_checkout_to_the_next_try(shop: Shop, settings: Any) -> None:
    ada = shop.customer()
    frame = shop.terminal.frame(seen(ada.face))
    here = settings.MATCHER_URL
    settings.MATCHER_URL = "http://127.0.0.1:1"
    with pytest.raises(services.RecognitionUnavailable):
        shop.terminal.send(frame)
    settings.MATCHER_URL = here
    assert shop.terminal.send(frame).status == "approved"
    assert shop.charges() == [1250]


def test_a_device_is_told_where_to_count_on(shop: Shop) -> None:
    assert resume(session=shop.terminal.session) == {"last_sequence": None, "unfinished_sequences": []}
    ada = shop.customer()
    shop.terminal.charge(ada.face)
    begun(shop, shop.terminal.frame(seen(ada.face)))
    assert resume(session=shop.terminal.session) == {"last_sequence": 2, "unfinished_sequences": [2]}


# --- What is kept ----------------------------------------------------------------------------------------


def test_neither_the_probe_nor_a_plain_hash_of_it_is_stored(shop: Shop) -> None:
    ada = shop.customer()
    probe = seen(ada.face)
    shop.terminal.send(shop.terminal.frame(probe))
    raw = probe.tobytes()
    plain = hashlib.sha256(raw).digest()
    assert bytes(UsedProbe.objects.latest("id").digest) != plain
    needles = [raw, raw[:64], plain, as_text(probe)[:64].encode()]
    with connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT row_to_json(t)::text FROM "{table}" t')
            stored = "".join(text for (text,) in cursor.fetchall())
            assert not [one for one in needles if one.hex() in stored or one.decode("latin-1") in stored], table
