"""What each act leaves behind: an event, an entry in the audit, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError

from engine import ids
from engine.principals import SYSTEM, Principal
from engine.tenancy.context import OrganizationContext, organization
from tenants.audit.models import Entry
from tenants.events.models import Event
from tenants.identity import services
from tenants.identity.models import Consent, MatchThreshold, Person, Template
from tests.conftest import client_of
from tests.factories.access import member, signed_in
from tests.factories.identity import Register, unopenable_template


def told(of: str) -> list[str]:
    """The types of the events that name an object, oldest first."""
    return [row.type for row in Event.objects.filter(body__contains=of).order_by("created_at", "id")]


def test_each_act_leaves_an_event_and_an_entry_of_who_did_it(org_a: OrganizationContext) -> None:
    who = member(org_a)
    people = Register(signed_in(client_of(org_a), who.token), "model-1")
    person = people.person(consents=(), display_name="Ada Lovelace", external_reference="emp-secret")
    consent = people.consent(person)
    people.client.patch(f"/v1/people/{person}", {"display_name": "Augusta"}, HTTP_IF_MATCH="*")
    with organization(org_a):
        made = unopenable_template(ids.decode("per", person)).public_id
    people.client.delete(f"/v1/templates/{made}")
    people.client.delete(f"/v1/templates/{made}")
    people.client.post(f"/v1/consents/{consent}/withdraw")
    people.client.post(f"/v1/consents/{consent}/withdraw")
    people.client.put(
        "/v1/match-thresholds", {"modality": "face", "model": "m", "verification_min": 0.7, "identification_min": 0.8}
    )
    with organization(org_a):
        assert told(person) == [
            "identity.person.created",
            "identity.consent.granted",
            "identity.template.retired",
            "identity.consent.withdrawn",
        ]
        entries = list(Entry.objects.filter(actor_id=who.principal.id).order_by("created_at", "id"))
        assert [
            entry.action for entry in entries if entry.action.partition(".")[0] not in ("session", "invitation")
        ] == [
            "person.create",
            "consent.grant",
            "person.update",
            "template.retire",
            "consent.withdraw",
            "threshold.set",
        ]
        kept = " ".join([*Event.objects.values_list("body", flat=True), *(str(entry.detail) for entry in entries)])
        assert not [word for word in ("Ada", "Augusta", "emp-secret") if word in kept]


# The audit's table refuses this kind of actor, so the last statement of every act fails.
NOBODY = Principal(kind="nobody", id=UUID(int=7))  # type: ignore[arg-type]
ACTS: dict[str, Callable[[Person, Consent, Template], object]] = {
    "create": lambda *_: services.create_person(display_name="Bea", by=NOBODY),
    "update": lambda person, *_: services.update_person(
        person_id=person.id, changes={"display_name": "Bea"}, by=NOBODY
    ),
    "grant": lambda person, *_: services.grant_consent(person_id=person.id, purpose="pay", evidence="x", by=NOBODY),
    "withdraw": lambda _, consent, __: services.withdraw_consent(consent_id=consent.id, by=NOBODY),
    "retire": lambda _, __, made: services.retire_template(template_id=made.id, by=NOBODY),
    "erase": lambda person, *_: services.erase_person(person_id=person.id, by=NOBODY),
    "threshold": lambda *_: services.set_threshold(
        modality="face", model="m", verification_min=0.7, identification_min=0.7, by=NOBODY
    ),
}


def everything() -> list[Any]:
    tables = (Person, Consent, Template, MatchThreshold, Event, Entry)
    return [list(table.objects.order_by("id").values()) for table in tables]


@pytest.mark.parametrize("act", ACTS)
def test_an_act_that_cannot_be_audited_has_not_happened(act: str, in_org_a: OrganizationContext) -> None:
    person = services.create_person(display_name="Ada", by=SYSTEM)
    consent = services.grant_consent(person_id=person.id, purpose="identify", evidence="x", by=SYSTEM)
    made = unopenable_template(person.id)
    before = everything()
    with pytest.raises((IntegrityError, services.ReferenceTaken)) as refused:
        ACTS[act](person, consent, made)
    assert "audit_entry_actor_kind" in str(refused.value.__cause__)
    assert everything() == before
