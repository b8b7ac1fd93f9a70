"""A restored log goes on behind a gap that its next event declares, and no other gap is accepted."""

from __future__ import annotations

import json

from django.db import transaction

from engine.tenancy.context import OrganizationContext
from tenants.events import selectors
from tenants.events import services as events
from tenants.events.models import Head
from tests.factories.payments import person_id


def recorded(count: int) -> None:
    """So many events, numbered."""
    for _ in range(count):
        person_id()
    events.seal()


def test_it_goes_on_above_every_number_that_was_given(in_org_a: OrganizationContext) -> None:
    recorded(3)
    person_id()
    with transaction.atomic():
        told = events.resume_restored(at=1000, backup="bkp_1", flow="flow_1")
    assert events.tells_of_restore(flow="flow_1")
    assert not events.tells_of_restore(flow="flow_2")
    events.seal()
    numbers = [seal.sequence for seal in selectors.sealed()]
    assert numbers == [1, 2, 3, 1001, 1002]
    # A reader at any number of the lost log finds this one next.
    assert next(seal.sequence for seal in selectors.sealed(after=500)) == told.sequence == 1001
    assert json.loads(told.body)["data"] == {"backup": "bkp_1", "flow": "flow_1", "ended_at": 3}
    assert events.verify().intact


def test_a_gap_that_nothing_declares_is_a_fault(in_org_a: OrganizationContext) -> None:
    recorded(2)
    Head.objects.update(sequence=7)
    recorded(1)
    result = events.verify()
    assert (result.broken_at, result.reason) == (3, "number 3 is missing")


def test_a_gap_behind_a_declared_one_is_a_fault(in_org_a: OrganizationContext) -> None:
    recorded(2)
    with transaction.atomic():
        events.resume_restored(at=10, backup="bkp_1", flow="flow_1")
    Head.objects.update(sequence=20)
    recorded(1)
    assert events.verify().broken_at == 12
