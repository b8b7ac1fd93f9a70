"""From an event to a signed request, and what happens when nobody answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import pytest
import standardwebhooks
from django.db import IntegrityError, ProgrammingError, connection, transaction

from engine import ids
from engine.clock import utc_now
from engine.errors import NotFound
from engine.outbox import Postpone
from engine.outbox.inline import drain
from engine.principals import Principal
from engine.tenancy.context import organization, relay_schema
from tenants.events import services as events
from tenants.events.events import Event as Fact
from tenants.events.models import Event
from tenants.webhooks import rules, services
from tenants.webhooks.models import Attempt, Delivery, Endpoint

MEMBER = Principal(kind="member", id=ids.uuid7(), display="Ada")


@dataclass(frozen=True, kw_only=True)
class ThingHappened(Fact):
    type: ClassVar[str] = "thing.happened"
    thing: str


def subscribe(receiver, *event_types, **fields):
    return services.create_endpoint(url=receiver.url, event_types=event_types or ("*",), by=MEMBER, **fields)


def happen(*things):
    with transaction.atomic():
        for thing in things or ("thg_1",):
            events.record(event=ThingHappened(thing=thing))


def run():
    """Everything that is due, also what is due only later."""
    return drain(raise_errors=True)


def hasten():
    with relay_schema(), connection.cursor() as cursor:
        cursor.execute("UPDATE public.outbox_message SET available_at = now() - interval '1 second'")


def test_an_event_arrives_signed(org_a, receiver):
    with organization(org_a):
        made = subscribe(receiver)
        happen()
    run()
    (request,) = receiver.received
    verified = standardwebhooks.Webhook(made.secret).verify(request.body, request.headers)
    with organization(org_a):
        event = Event.objects.get()
        delivery = Delivery.objects.get()
        assert verified == json.loads(event.body)
        assert request.body == event.body.encode()
        assert request.headers["webhook-id"] == event.public_id
        assert request.headers["keystead-sequence"] == "1"
        assert request.headers["content-type"] == "application/json"
        assert (delivery.state, delivery.attempts) == ("delivered", 1)
        (attempt,) = delivery.attempt_log.all()
        assert (attempt.number, attempt.status, attempt.error, attempt.response) == (1, 200, "", "thanks")


def test_a_tampered_body_does_not_verify(org_a, receiver):
    with organization(org_a):
        made = subscribe(receiver)
        happen()
    run()
    (request,) = receiver.received
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(made.secret).verify(request.body.replace(b"thg_1", b"thg_2"), request.headers)


def test_both_secrets_sign_during_a_rotation(org_a, receiver):
    with organization(org_a):
        old = subscribe(receiver)
        new = services.rotate_secret(endpoint_id=old.endpoint.id, by=MEMBER)
        happen()
    run()
    (request,) = receiver.received
    for secret in (old.secret, new.secret):
        standardwebhooks.Webhook(secret).verify(request.body, request.headers)
    assert old.secret != new.secret
    assert request.headers["webhook-signature"].count("v1,") == 2


def test_a_secret_ends_with_its_overlap(org_a, receiver):
    with organization(org_a):
        old = subscribe(receiver)
        new = services.rotate_secret(endpoint_id=old.endpoint.id, by=MEMBER, overlap=timedelta(0))
        happen()
    run()
    (request,) = receiver.received
    standardwebhooks.Webhook(new.secret).verify(request.body, request.headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(old.secret).verify(request.body, request.headers)


def test_only_what_was_asked_for_is_sent(org_a, receiver):
    with organization(org_a):
        subscribe(receiver, "thing.*")
        subscribe(receiver, "thing.happened", "other.thing")
        subscribe(receiver, "thing.destroyed")
        happen()
    run()
    assert len(receiver.received) == 2


def test_events_of_another_organization_are_never_sent(org_a, org_b, receiver):
    with organization(org_a):
        subscribe(receiver)
    with organization(org_b):
        happen()
    run()
    assert receiver.received == []
    with organization(org_b):
        assert Delivery.objects.count() == 0


def test_a_delivery_exists_once(org_a, receiver):
    with organization(org_a):
        made = subscribe(receiver)
        happen()
        events.seal()
        delivery = Delivery.objects.get()
        with pytest.raises(IntegrityError), transaction.atomic():
            Delivery.objects.create(
                endpoint=made.endpoint, event_id=delivery.event_id, event_type="thing.happened", sequence=1
            )


def test_the_delivery_is_undone_with_the_seal(org_a, receiver, monkeypatch):
    with organization(org_a):
        subscribe(receiver)
        happen()

        def fail(batch):
            raise ZeroDivisionError

        monkeypatch.setattr(events, "_subscribers", [services.fan_out, fail])
        with pytest.raises(ZeroDivisionError):
            events.seal()
        assert Delivery.objects.count() == 0
        assert events.verify().unsealed == 1


def test_a_failed_attempt_is_repeated_later(org_a, receiver):
    receiver.status = 500
    receiver.answer = b"x" * 5000
    with organization(org_a):
        subscribe(receiver)
        happen()
    run()
    with organization(org_a):
        delivery = Delivery.objects.get()
        assert (delivery.state, delivery.attempts) == ("pending", 1)
        assert delivery.next_attempt_at is not None
        assert timedelta(seconds=2) < delivery.next_attempt_at - utc_now() <= timedelta(seconds=6)
        attempt = Attempt.objects.get()
        assert (attempt.status, attempt.error, len(attempt.response)) == (500, "refused", 1024)
        assert Endpoint.objects.get().failures == 1
    receiver.status = 204
    receiver.answer = b""
    hasten()
    run()
    with organization(org_a):
        delivery.refresh_from_db()
        assert (delivery.state, delivery.attempts) == ("delivered", 2)
        endpoint = Endpoint.objects.get()
        assert (endpoint.failures, endpoint.failing_since) == (0, None)
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_a_delivery_fails_in_the_end(org_a, receiver):
    receiver.status = 500
    with organization(org_a):
        subscribe(receiver)
        happen()
    for _ in range(rules.ATTEMPTS_MAX):
        run()
        with organization(org_a):
            Endpoint.objects.update(paused_until=None)
        hasten()
    with organization(org_a):
        delivery = Delivery.objects.get()
        assert (delivery.state, delivery.attempts) == ("failed", rules.ATTEMPTS_MAX)
        assert delivery.next_attempt_at is None
    assert run() == {}
    assert len(receiver.received) == rules.ATTEMPTS_MAX


def test_a_redirect_is_not_followed(org_a, receiver):
    receiver.status = 302
    receiver.answer_headers = {"location": receiver.url + "/elsewhere"}
    with organization(org_a):
        subscribe(receiver)
        happen()
    run()
    assert [request.path for request in receiver.received] == ["/hooks"]
    with organization(org_a):
        assert Attempt.objects.get().status == 302


def test_a_receiver_that_says_gone_is_left_alone(org_a, receiver):
    receiver.status = 410
    with organization(org_a):
        subscribe(receiver)
        happen()
    run()
    with organization(org_a):
        endpoint, delivery = Endpoint.objects.get(), Delivery.objects.get()
        assert (endpoint.status, endpoint.disabled_reason) == ("disabled", "gone")
        assert delivery.state == "cancelled"
        assert Event.objects.filter(type="webhook_endpoint.disabled").count() == 1
        happen()
    run()
    assert len(receiver.received) == 1


def test_an_endpoint_that_fails_for_days_is_disabled(org_a, receiver):
    receiver.status = 503
    with organization(org_a):
        subscribe(receiver)
        Endpoint.objects.update(
            failures=rules.DISABLE_FAILURES, failing_since=utc_now() - rules.DISABLE_AFTER - timedelta(hours=1)
        )
        happen()
    run()
    with organization(org_a):
        endpoint = Endpoint.objects.get()
        assert (endpoint.status, endpoint.disabled_reason) == ("disabled", "failing")


def test_the_breaker_spares_a_dead_endpoint(org_a, receiver):
    receiver.status = 500
    with organization(org_a):
        subscribe(receiver)
        happen(*[f"thg_{n}" for n in range(20)])
    drain()
    assert len(receiver.received) == rules.BREAKER_FAILURES
    with organization(org_a):
        assert Delivery.objects.filter(state="pending").count() == 20
        assert Delivery.objects.filter(attempts=0).count() == 20 - rules.BREAKER_FAILURES


def test_one_probe_goes_ahead_when_the_pause_is_over(org_a, receiver):
    with organization(org_a):
        made = subscribe(receiver)
        happen("thg_1", "thg_2")
        events.seal()
        past = utc_now() - timedelta(seconds=1)
        Endpoint.objects.update(paused_until=past, failures=7)
        first, second = Delivery.objects.order_by("id")
        receiver.status = 500
        services.deliver(delivery_id=first.id, attempt=1)
        with pytest.raises(Postpone):
            services.deliver(delivery_id=second.id, attempt=1)
        assert len(receiver.received) == 1
        receiver.status = 200
        Endpoint.objects.update(paused_until=past)
        services.deliver(delivery_id=second.id, attempt=1)
        made.endpoint.refresh_from_db()
        assert (made.endpoint.failures, made.endpoint.paused_until) == (0, None)


def test_a_crash_before_the_outcome_is_written_repeats_the_request(org_a, receiver, monkeypatch):
    """At least once, and recognisable: the receiver sees the same webhook-id twice."""
    from tenants.webhooks.services import deliveries

    with organization(org_a):
        subscribe(receiver)
        happen()

    def crash(*arguments, **options):
        raise ConnectionError

    with monkeypatch.context() as crashing:
        crashing.setattr(deliveries, "_settle", crash)
        drain()
    with organization(org_a):
        assert Delivery.objects.get().attempts == 0
    hasten()
    run()
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    with organization(org_a):
        delivery = Delivery.objects.get()
        assert (delivery.state, delivery.attempts) == ("delivered", 1)


def test_a_stale_message_sends_nothing(org_a, receiver):
    with organization(org_a):
        subscribe(receiver)
        happen()
        events.seal()
        delivery = Delivery.objects.get()
        services.deliver(delivery_id=delivery.id, attempt=1)
        services.deliver(delivery_id=delivery.id, attempt=1)
        services.deliver(delivery_id=delivery.id, attempt=2)
        services.deliver(delivery_id=ids.uuid7(), attempt=1)
    assert len(receiver.received) == 1


def test_nothing_is_sent_to_a_disabled_or_deleted_endpoint(org_a, receiver):
    with organization(org_a):
        first, second = subscribe(receiver), subscribe(receiver)
        happen()
        events.seal()
        services.update_endpoint(endpoint_id=first.endpoint.id, by=MEMBER, enabled=False)
        services.delete_endpoint(endpoint_id=second.endpoint.id, by=MEMBER)
    run()
    assert receiver.received == []
    with organization(org_a):
        assert set(Delivery.objects.values_list("state", flat=True)) == {"cancelled"}
        with pytest.raises(services.EndpointNotEnabled):
            services.replay(delivery_id=Delivery.objects.all()[0].id, by=MEMBER)


def test_a_replay_sends_the_same_message_again(org_a, receiver):
    with organization(org_a):
        subscribe(receiver)
        happen()
    run()
    with organization(org_a):
        delivery = services.replay(delivery_id=Delivery.objects.get().id, by=MEMBER)
    run()
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    with organization(org_a):
        delivery.refresh_from_db()
        assert (delivery.state, delivery.attempts, delivery.attempts_before) == ("delivered", 2, 1)
        with pytest.raises(NotFound):
            services.replay(delivery_id=ids.uuid7(), by=MEMBER)


def test_enabling_again_forgets_the_failures(org_a, receiver):
    with organization(org_a):
        made = subscribe(receiver)
        Endpoint.objects.update(status="disabled", disabled_reason="failing", failures=50, paused_until=utc_now())
        endpoint = services.update_endpoint(endpoint_id=made.endpoint.id, by=MEMBER, enabled=True)
        assert (endpoint.status, endpoint.disabled_reason, endpoint.failures) == ("enabled", "", 0)
        assert endpoint.paused_until is None


@pytest.mark.parametrize("statement", ["UPDATE webhooks_attempt SET error = ''", "DELETE FROM webhooks_attempt"])
def test_the_log_of_attempts_is_append_only(in_org_a, statement):
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
