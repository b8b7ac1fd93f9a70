"""Flows that wait in the middle: until a time, or for a person; and flows that are cancelled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction

from engine.clock import utc_now
from engine.outbox import claims
from engine.outbox.execution import Outcome, execute
from engine.outbox.options import Options
from engine.principals import SYSTEM
from engine.tenancy.context import OrganizationContext, public_schema, relay_schema
from provisioning import flows, suspension
from provisioning.models import Flow, FlowKind, FlowStatus
from provisioning.rules import Wait
from shared.organizations.models import Organization
from tests.harness.live import LiveDatabase

pytestmark = pytest.mark.xdist_group("provisioning")

Patient = Callable[..., Flow]


@pytest.fixture
def ran() -> list[str]:
    return []


@pytest.fixture
def patient(
    live_db: LiveDatabase, org_a: OrganizationContext, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> Patient:
    """Starts a flow whose first step waits for as long as `answer` says."""

    def start(answer: Callable[[Flow], Wait | None]) -> Flow:
        def first(flow: Flow) -> Wait | None:
            ran.append("first")
            return answer(flow)

        def second(_: Flow) -> None:
            ran.append("second")

        monkeypatch.setitem(flows.STEPS, FlowKind.BACKUP, {"first": first, "second": second})
        with public_schema(), transaction.atomic():
            row = Organization.objects.get(id=org_a.id)
            return flows.start(kind=FlowKind.BACKUP, organization=row, parameters={})

    return start


def messages() -> list[datetime]:
    with relay_schema(), connection.cursor() as cursor:
        cursor.execute("SELECT available_at FROM public.outbox_message ORDER BY available_at")
        return [row[0] for row in cursor.fetchall()]


def test_it_waits_until_a_time_and_a_message_of_that_time_goes_on(
    live_db: LiveDatabase, patient: Patient, ran: list[str]
) -> None:
    due = utc_now() + timedelta(hours=3)
    answers = iter([Wait(until=due), None])
    flow = patient(lambda _: next(answers))
    with live_db.as_owner():
        waiting = flows.advance(flow_id=flow.id)
        assert (waiting.status, waiting.step, waiting.due_at) == (FlowStatus.WAITING, "first", due)
        # The one that started it, and the one that comes back for it.
        assert due in messages()
        assert len(messages()) == 2
        done = flows.advance(flow_id=flow.id)
    assert (done.status, done.due_at) == (FlowStatus.SUCCEEDED, None)
    assert ran == ["first", "first", "second"]


def test_it_waits_for_a_person_and_nobody_looks_meanwhile(
    live_db: LiveDatabase, patient: Patient, ran: list[str]
) -> None:
    allowed: list[bool] = []
    flow = patient(lambda _: None if allowed else Wait(until=None))
    with live_db.as_owner():
        assert flows.advance(flow_id=flow.id).status == FlowStatus.WAITING
        assert len(messages()) == 1
        allowed.append(True)
        with public_schema(), transaction.atomic():
            flows.wake(flow=flow)
        assert len(messages()) == 2
        assert flows.advance(flow_id=flow.id).status == FlowStatus.SUCCEEDED
    assert ran == ["first", "first", "second"]


def test_nothing_short_waits_behind_backups(
    live_db: LiveDatabase, org_a: OrganizationContext, patient: Patient
) -> None:
    patient(lambda _: None)
    with public_schema():
        suspension.suspend(organization_id=org_a.id, reason="x", by=SYSTEM)
    claimed = claims.claim(batch=10, visibility_seconds=5, organization_cap=1, in_flight_cap=10)
    assert sorted(claim.queue for claim in claimed) == ["archives", "provisioning"]


def test_whoever_finds_a_flow_being_run_has_not_failed(live_db: LiveDatabase, patient: Patient) -> None:
    outcomes: list[Outcome] = []

    def told_again(_: Flow) -> None:
        (claim,) = claims.claim(batch=10, visibility_seconds=5, organization_cap=10, in_flight_cap=10)
        outcomes.append(execute(claim.id, options=Options()))

    flow = patient(told_again)
    with live_db.as_owner():
        assert flows.advance(flow_id=flow.id).status == FlowStatus.SUCCEEDED
    assert outcomes == [Outcome.POSTPONED]


@pytest.mark.parametrize("answer", [None, Wait(until=None)], ids=["that_would_go_on", "that_would_wait"])
def test_cancelled_during_a_step_it_stays_cancelled(
    live_db: LiveDatabase, patient: Patient, ran: list[str], answer: Wait | None
) -> None:
    def cancelled_meanwhile(flow: Flow) -> Wait | None:
        with public_schema():
            assert flows.cancel(flow=flow)
        return answer

    flow = patient(cancelled_meanwhile)
    with live_db.as_owner():
        assert flows.advance(flow_id=flow.id).status == FlowStatus.CANCELLED
        assert flows.advance(flow_id=flow.id).status == FlowStatus.CANCELLED
    assert ran == ["first"]
    with public_schema():
        assert not flows.cancel(flow=flow)
