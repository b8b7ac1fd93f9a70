"""Erasing a person over HTTP: at once, twice, and when the journal or the matcher fails in the middle."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from django.test.utils import override_settings

from engine import ids
from engine.blobs.erasures import ErasureJournal
from engine.blobs.store import open_store
from engine.outbox.inline import drain
from engine.tenancy.context import OrganizationContext, organization
from tenants.audit.models import Entry
from tenants.events.models import Event
from tenants.identity.models import Person, Template
from tenants.keyring.models import PersonKey
from tests.factories.checkouts import face, seen
from tests.factories.identity import Register

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("identity-erasure")]


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def journalled(org: OrganizationContext, blobs: Path) -> list[str]:
    entries = ErasureJournal(open_store(f"file://{blobs}")).of_organization(org.id)
    return [ids.encode("per", entry.person_id) for entry in entries]


def keys_of(org: OrganizationContext, person: str) -> int:
    with organization(org):
        return PersonKey.objects.filter(person_id=ids.decode("per", person)).count()


def test_an_erased_person_is_forgotten_and_never_recognised(
    register: Register, org_a: OrganizationContext, blobs: Path
) -> None:
    ada, bea = face(), face()
    person = register.enrolled(ada, display_name="Ada", external_reference="emp-7")
    other = register.enrolled(bea)
    assert register.found(ada) == ("match", person)
    assert keys_of(org_a, person) == 1

    answer = register.client.delete(f"/v1/people/{person}")

    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["status"], body["display_name"], body["external_reference"]) == ("erased", "", None)
    assert body["erased_at"] is not None
    assert register.client.get(f"/v1/people/{person}").json() == body
    assert register.client.get("/v1/people?external_reference=emp-7").json()["data"] == []
    assert keys_of(org_a, person) == 0
    assert journalled(org_a, blobs) == [person]
    assert register.found(ada) == ("no_match", None)
    assert register.found(bea) == ("match", other)
    states = {one["state"] for one in register.client.get(f"/v1/templates?person={person}").json()["data"]}
    assert states == {"retired"}
    consents = register.client.get(f"/v1/consents?person={person}").json()["data"]
    assert [one for one in consents if one["withdrawn_at"] is None] == []
    assert register.person(external_reference="emp-7") != person


def test_nothing_can_be_added_to_an_erased_person(register: Register, blobs: Path) -> None:
    ada = face()
    person = register.enrolled(ada)
    register.client.delete(f"/v1/people/{person}")
    consent = {"person": person, "purpose": "identify", "evidence": "form 8"}
    for answer in (
        register.enroll(person, ada),
        register.verify(person, seen(ada)),
        register.client.post("/v1/consents", consent),
        register.client.patch(f"/v1/people/{person}", {"display_name": "Ada"}, HTTP_IF_MATCH="*"),
    ):
        assert refusal(answer) == (409, "person_erased")


def test_erasing_twice_changes_nothing(register: Register, org_a: OrganizationContext, blobs: Path) -> None:
    person = register.enrolled(face())
    answers = [register.client.delete(f"/v1/people/{person}") for _ in "ab"]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert drain(raise_errors=True)
    assert register.client.get(f"/v1/people/{person}").json() == answers[0].json()
    with organization(org_a):
        told = Event.objects.filter(body__contains=person, type="identity.person.erased")
        assert told.count() == 1
        assert Entry.objects.filter(resource=person, action="person.erase").count() == 1


def test_an_erasure_that_could_not_be_journalled_is_finished_by_the_worker(
    register: Register, org_a: OrganizationContext, blobs: Path
) -> None:
    ada = face()
    person = register.enrolled(ada, display_name="Ada")
    drain(raise_errors=True)
    in_the_way = blobs / "erasures"
    # Draining may have finished somebody else's erasure, from a test before.
    shutil.rmtree(in_the_way, ignore_errors=True)
    in_the_way.write_text("a file where a folder belongs")

    answer = register.client.delete(f"/v1/people/{person}")

    # Not acknowledged and nothing destroyed, but nobody matches any more and the name is gone.
    assert answer.status_code == 500
    seen_now = register.client.get(f"/v1/people/{person}").json()
    assert (seen_now["status"], seen_now["display_name"], seen_now["erased_at"]) == ("erasing", "", None)
    assert keys_of(org_a, person) == 1
    assert register.found(ada) == ("no_match", None)
    assert refusal(register.enroll(person, ada)) == (409, "person_erased")

    in_the_way.unlink()
    drain(raise_errors=True)

    assert register.client.get(f"/v1/people/{person}").json()["status"] == "erased"
    assert keys_of(org_a, person) == 0
    assert journalled(org_a, blobs) == [person]


def test_an_erasure_that_the_matcher_did_not_hear_of_is_finished_by_the_worker(
    register: Register, org_a: OrganizationContext, blobs: Path
) -> None:
    ada = face()
    person = register.enrolled(ada)
    drain(raise_errors=True)
    with override_settings(MATCHER_URL="http://127.0.0.1:1"):
        answer = register.client.delete(f"/v1/people/{person}")
    assert refusal(answer) == (503, "matcher_unavailable")
    assert register.client.get(f"/v1/people/{person}").json()["status"] == "erasing"
    assert keys_of(org_a, person) == 0
    assert register.found(ada) == ("no_match", None)

    drain(raise_errors=True)

    assert register.client.get(f"/v1/people/{person}").json()["status"] == "erased"


def test_a_repeated_request_finishes_what_the_first_could_not(
    register: Register, org_a: OrganizationContext, blobs: Path
) -> None:
    person = register.enrolled(face())
    (blobs / "erasures").write_text("a file where a folder belongs")
    assert register.client.delete(f"/v1/people/{person}").status_code == 500
    (blobs / "erasures").unlink()
    answer = register.client.delete(f"/v1/people/{person}")
    assert (answer.status_code, answer.json()["status"]) == (200, "erased")
    drain(raise_errors=True)
    assert register.client.get(f"/v1/people/{person}").json() == answer.json()


def test_a_restored_key_opens_nothing_for_a_retired_template(
    register: Register, org_a: OrganizationContext, blobs: Path
) -> None:
    """The row decides as well: a key that comes back, as with a backup, does not bring the person back."""
    ada = face()
    person = register.enrolled(ada)
    with organization(org_a):
        key = PersonKey.objects.get(person_id=ids.decode("per", person))
    register.client.delete(f"/v1/people/{person}")
    with organization(org_a):
        PersonKey.objects.bulk_create([key])
        assert Person.objects.get(id=ids.decode("per", person)).status == "erased"
        assert not Template.objects.active().filter(person_id=key.person_id).exists()
    assert register.found(ada) == ("no_match", None)
    assert refusal(register.verify(person, seen(ada))) == (409, "person_erased")
