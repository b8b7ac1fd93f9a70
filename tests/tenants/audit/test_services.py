from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import ProgrammingError, connection, transaction

from engine.canonical_json import NotCanonical
from engine.ids import uuid7
from engine.outbox.inline import drain
from engine.principals import SYSTEM, Principal
from engine.tenancy.context import organization
from tenants.audit import selectors, services
from tenants.audit.models import Entry


def test_an_entry_says_who_did_what(in_org_a):
    actor = Principal(kind="member", id=uuid7(), display="Ada")
    decision = uuid4()
    services.write(
        action="payment.refund", actor=actor, resource="pay_1", detail={"amount_minor": 5}, decision_id=decision
    )
    (entry,) = selectors.entries(resource="pay_1")
    assert (entry.actor_kind, entry.actor_id, entry.actor_display) == ("member", actor.id, "Ada")
    assert (entry.action, entry.detail, entry.decision_id) == ("payment.refund", {"amount_minor": 5}, decision)
    assert list(selectors.entries(resource="pay_2")) == []


def test_entries_are_sealed_by_their_message(org_a):
    with organization(org_a):
        for number in range(3):
            services.write(
                action="thing.make", actor=SYSTEM, resource=f"thg_{number}", detail={"ratio": 1.0, "n": None}
            )
    drain(raise_errors=True)
    with organization(org_a):
        assert sorted(entry.seal.sequence for entry in Entry.objects.all()) == [1, 2, 3]
        found = services.verify()
        assert (found.intact, found.sealed, found.unsealed) == (True, 3, 0)


def test_detail_is_bounded_and_json(in_org_a):
    with pytest.raises(services.DetailTooLarge):
        services.write(action="thing.make", actor=SYSTEM, resource="x", detail={"text": "x" * 20_000})
    with pytest.raises(NotCanonical):
        services.write(action="thing.make", actor=SYSTEM, resource="x", detail={"n": float("nan")})


@pytest.mark.parametrize("statement", ["UPDATE audit_entry SET action = 'a.b'", "DELETE FROM audit_entry"])
def test_the_log_is_append_only_by_privilege(in_org_a, statement):
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
