from __future__ import annotations

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from tenants.usage import selectors, services
from tenants.usage.models import Record


def test_a_source_counts_once(in_org_a):
    first = services.record(metric="checkouts", quantity=1, source_id="chk_1")
    assert services.record(metric="checkouts", quantity=1, source_id="chk_1").id == first.id
    services.record(metric="identifications", quantity=1, source_id="chk_1")
    assert list(selectors.records(metric="checkouts")) == [first]
    assert selectors.records().count() == 2


def test_another_quantity_is_not_swallowed(in_org_a):
    services.record(metric="checkouts", quantity=1, source_id="chk_1")
    with pytest.raises(services.AlreadyRecorded):
        services.record(metric="checkouts", quantity=2, source_id="chk_1")


@pytest.mark.parametrize("fields", [{"quantity": 0}, {"quantity": -1}, {"metric": "No Spaces"}])
def test_the_database_refuses_nonsense(in_org_a, fields):
    with pytest.raises(IntegrityError), transaction.atomic():
        Record.objects.create(**{"metric": "checkouts", "quantity": 1, "source_id": "x", **fields})


def test_the_database_refuses_a_second_record(in_org_a):
    Record.objects.create(metric="checkouts", quantity=1, source_id="x")
    with pytest.raises(IntegrityError), transaction.atomic():
        Record.objects.create(metric="checkouts", quantity=1, source_id="x")


@pytest.mark.parametrize("statement", ["UPDATE usage_record SET quantity = 2", "DELETE FROM usage_record"])
def test_records_cannot_be_changed(in_org_a, statement):
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
