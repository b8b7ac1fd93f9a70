"""Enrolment, 1:1 and 1:N over HTTP, with a real matcher and real commits."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction

from engine import ids
from engine.ids import uuid7
from engine.principals import SYSTEM
from engine.tenancy.context import OrganizationContext, organization
from tenants.audit.models import Entry
from tenants.events.models import Event
from tenants.identity import services
from tenants.identity.models import Identification, Person, Template, Verification
from tests.conftest import client_of
from tests.factories.access import member_token, signed_in
from tests.factories.checkouts import face, seen
from tests.factories.identity import Register, alike

# One database and one matcher for the module: keep its tests on one worker.
pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("identity")]


def outcome(answer: Any) -> str:
    assert answer.status_code == 201, answer.content
    said: str = answer.json()["outcome"]
    return said


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# --- Enrolment -------------------------------------------------------------------------------------------


def test_what_is_enrolled_is_sealed_and_never_shown(register: Register, org_a: OrganizationContext) -> None:
    ada = face()
    person = register.person()
    answer = register.enroll(person, ada)
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert (body["person"], body["version"], body["dimensions"], body["state"]) == (person, 1, 128, "active")
    assert not {"vector", "sealed"} & body.keys()
    assert register.client.get(f"/v1/templates/{body['id']}").json() == body
    with organization(org_a):
        row = Template.objects.get(id=ids.decode("tpl", body["id"]))
        assert ada.astype("<f4").tobytes()[:32] not in bytes(row.sealed)
        told = [one.type for one in Event.objects.filter(body__contains=body["id"])]
        assert told == ["identity.template.enrolled"]
        assert [one.action for one in Entry.objects.filter(resource=body["id"])] == ["template.enroll"]


def test_of_two_enrolments_only_the_second_matches(register: Register, org_a: OrganizationContext) -> None:
    before, after = face(), face()
    person = register.enrolled(before)
    old = register.client.get(f"/v1/templates?person={person}").json()["data"][0]

    new = register.enroll(person, after).json()

    assert (new["version"], new["state"]) == (2, "active")
    replaced = register.client.get(f"/v1/templates/{old['id']}").json()
    assert (replaced["state"], replaced["retired_at"] is None) == ("retired", False)
    with organization(org_a):
        told = {row.type for row in Event.objects.filter(body__contains=old["id"])}
    assert told == {"identity.template.enrolled", "identity.template.retired"}
    assert outcome(register.verify(person, seen(after))) == "match"
    assert outcome(register.verify(person, seen(before))) == "no_match"
    assert register.found(after) == ("match", person)
    assert register.found(before) == ("no_match", None)


def test_a_vector_of_another_length_is_refused_by_name(register: Register) -> None:
    register.enrolled(face())
    short = [0.5] * 64
    other = register.person()
    for answer in (register.enroll(other, short), register.identify(short)):
        assert refusal(answer) == (422, "vector_refused")
        assert [error["field"] for error in answer.json()["errors"]] == ["vector"]


def test_a_retired_template_recognises_nobody(register: Register) -> None:
    ada = face()
    person = register.enrolled(ada)
    made = register.client.get(f"/v1/templates?person={person}").json()["data"][0]["id"]
    assert register.client.delete(f"/v1/templates/{made}").json()["state"] == "retired"
    assert refusal(register.verify(person, seen(ada))) == (409, "template_missing")
    assert register.found(ada) == ("no_match", None)
    assert register.enroll(person, ada).json()["version"] == 2
    assert register.found(ada) == ("match", person)


def test_two_enrolments_at_once_leave_one_active_template(register: Register, org_a: OrganizationContext) -> None:
    person = register.person()
    token = member_token(org_a)
    start = threading.Barrier(4)

    def enroll(_: int) -> int:
        mine = Register(signed_in(client_of(org_a), token), register.model)
        try:
            start.wait()
            return int(mine.enroll(person, face()).status_code)
        finally:
            connection.close()

    for _ in range(3):
        with ThreadPoolExecutor(4) as pool:
            statuses = set(pool.map(enroll, range(4)))
        assert 201 in statuses
        assert statuses <= {201, 409}
    rows = register.client.get(f"/v1/templates?person={person}").json()["data"]
    assert [one["state"] for one in rows].count("active") == 1
    assert sorted(one["version"] for one in rows) == list(range(1, len(rows) + 1))
    active = max(rows, key=lambda one: one["version"])
    assert active["state"] == "active"


# --- 1:1 -------------------------------------------------------------------------------------------------


def test_a_person_is_verified_and_another_is_not(register: Register) -> None:
    ada, bea = face(), face()
    person = register.enrolled(ada)
    register.enrolled(bea)
    answer = register.verify(person, seen(ada))
    assert outcome(answer) == "match"
    assert answer.json()["person"] == person
    assert answer.json()["score"] > answer.json()["threshold"] == 0.6
    assert outcome(register.verify(person, seen(bea))) == "no_match"
    assert [one["outcome"] for one in register.client.get(f"/v1/verifications?person={person}").json()["data"]].count(
        "match"
    ) == 1


def test_without_a_template_there_is_nothing_to_compare_with(register: Register) -> None:
    assert refusal(register.verify(register.person(), face())) == (409, "template_missing")


# --- 1:N -------------------------------------------------------------------------------------------------


def test_the_right_person_is_found_among_several(register: Register) -> None:
    faces = [face() for _ in range(6)]
    people = [register.enrolled(one) for one in faces]
    for looks, person in zip(faces, people, strict=True):
        assert register.found(looks) == ("match", person)
    assert register.found(face()) == ("no_match", None)
    answer = register.identify(seen(faces[0])).json()
    assert answer["gallery_size"] == 6
    assert answer["threshold"] == pytest.approx(0.65 + 0.01 * np.log10(6))


def test_nobody_is_found_in_an_empty_gallery(register: Register) -> None:
    answer = register.identify(face())
    assert outcome(answer) == "no_match"
    assert (answer.json()["person"], answer.json()["score"], answer.json()["gallery_size"]) == (None, None, 0)


def test_two_people_with_one_face_are_ambiguous_and_nobody_is_named(
    register: Register, org_a: OrganizationContext
) -> None:
    ada = face()
    people = [register.enrolled(ada), register.enrolled(ada)]
    answer = register.identify(seen(ada))
    assert outcome(answer) == "ambiguous"
    assert not [person for person in people if person in answer.content.decode()]
    with organization(org_a):
        row = Identification.objects.get(id=ids.decode("idn", answer.json()["id"]))
        assert (row.person_id, row.template_id) == (None, None)
        assert row.score == pytest.approx(row.runner_up_score)
    register.client.delete(f"/v1/people/{people[0]}")
    assert register.found(ada) == ("match", people[1])


def test_modalities_and_models_never_cross(register: Register) -> None:
    ada = face()
    person = register.enrolled(ada)
    for other in ({"modality": "palm"}, {"model": f"{register.model}.2"}):
        assert register.found(ada, **other) == ("no_match", None)
        assert refusal(register.verify(person, seen(ada), **other)) == (409, "template_missing")
    assert register.enroll(person, face(), modality="palm").json()["version"] == 1
    assert register.found(ada) == ("match", person)


def test_organizations_never_cross(register: Register, org_b: OrganizationContext) -> None:
    ada = face()
    person = register.enrolled(ada)
    other = Register(signed_in(client_of(org_b), member_token(org_b)), register.model)
    assert other.found(ada) == ("no_match", None)
    assert other.verify(person, seen(ada)).status_code == 404
    assert other.enroll(person, seen(ada)).status_code == 404
    bea = other.enrolled(ada)
    assert other.found(ada) == ("match", bea)
    assert register.found(ada) == ("match", person)


# --- Consent ---------------------------------------------------------------------------------------------


def test_a_withdrawn_consent_stops_matching_at_once(register: Register) -> None:
    ada = face()
    person = register.person(consents=("pay",))
    consent = register.consent(person)
    assert register.enroll(person, ada).status_code == 201
    assert register.found(ada) == ("match", person)

    assert register.client.post(f"/v1/consents/{consent}/withdraw").status_code == 200

    assert register.found(ada) == ("no_match", None)
    assert register.identify(seen(ada)).json()["gallery_size"] == 0
    for refused in (register.verify(person, seen(ada)), register.enroll(person, ada)):
        assert refusal(refused) == (409, "consent_missing")

    register.consent(person)
    assert outcome(register.verify(person, seen(ada))) == "match"


# --- Thresholds ------------------------------------------------------------------------------------------


def test_the_organizations_thresholds_decide(register: Register) -> None:
    ada = face()
    person = register.enrolled(ada)
    probe = alike(ada, similarity=0.75)
    assert (outcome(register.verify(person, probe)), outcome(register.identify(probe))) == ("match", "match")

    def set_to(**least: float) -> None:
        answer = register.client.put("/v1/match-thresholds", {"modality": "face", "model": register.model, **least})
        assert answer.status_code == 200, answer.content

    set_to(verification_min=0.8, identification_min=0.7)
    verified, identified = register.verify(person, probe), register.identify(probe)
    assert (outcome(verified), outcome(identified)) == ("no_match", "match")
    assert verified.json()["score"] == pytest.approx(0.75, abs=1e-3)
    set_to(verification_min=0.7, identification_min=0.8)
    assert (outcome(register.verify(person, probe)), outcome(register.identify(probe))) == ("match", "no_match")
    set_to(verification_min=0.7, identification_min=1.0)
    answer = register.identify(alike(ada, similarity=0.99))
    assert (outcome(answer), answer.json()["threshold"]) == ("no_match", 1.0)


# --- Idempotency -----------------------------------------------------------------------------------------


def test_the_same_key_acts_once(register: Register, org_a: OrganizationContext) -> None:
    ada = face()
    probe = seen(ada)
    person = register.person()
    calls = {
        "enrol": lambda: register.enroll(person, ada, key="enrol"),
        "verify": lambda: register.verify(person, probe, key="verify"),
        "identify": lambda: register.identify(probe, key="identify"),
    }
    for name, call in calls.items():
        first, again = call(), call()
        assert (first.status_code, again.status_code) == (201, 201), name
        assert first.json() == again.json(), name
        assert again["Idempotent-Replayed"] == "true", name
    with organization(org_a):
        for table in (Template, Verification, Identification):
            assert table._default_manager.filter(model=register.model).count() == 1
    other = register.enroll(person, face(), key="enrol")
    assert refusal(other) == (422, "idempotency_key_reused")


def test_an_interrupted_command_is_resumed_with_what_it_made(register: Register, org_a: OrganizationContext) -> None:
    ada = face()
    person = ids.decode("per", register.person())
    common: dict[str, Any] = {"modality": "face", "model": register.model, "vector": ada.tobytes(), "by": SYSTEM}
    one, two, three = uuid7(), uuid7(), uuid7()
    with organization(org_a):
        for _ in "ab":
            assert services.enroll_template(template_id=one, person_id=person, **common).version == 1
            assert services.verify(verification_id=two, person_id=person, **common).outcome == "match"
            assert services.identify(identification_id=three, **common).person_id == person
        assert Template.objects.filter(model=register.model).count() == 1


# --- Races -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["consent", "template"])
def test_who_holds_the_person_may_take_the_rest(what: str, register: Register, org_a: OrganizationContext) -> None:
    """An erasure holds the person, then changes consents and templates: nobody may hold those and want the person."""
    person = register.person(consents=())
    consent = register.consent(person)
    template = register.enroll(person, face()).json()["id"]
    client = register.client

    def act() -> int:
        try:
            path = f"/v1/consents/{consent}/withdraw" if what == "consent" else f"/v1/templates/{template}"
            return int((client.post if what == "consent" else client.delete)(path).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with organization(org_a), transaction.atomic():
            row = Person.objects.select_for_update().get(id=ids.decode("per", person))
            waiting = pool.submit(act)
            with connection.cursor() as cursor:
                wait_until_somebody_waits(cursor)
            for kept in (*row.consents.select_for_update(nowait=True), *row.templates.select_for_update(nowait=True)):
                kept.save()
        assert waiting.result() == 200


def wait_until_somebody_waits(cursor: Any) -> None:
    """Until another session waits for a lock that this one holds."""
    for _ in range(500):
        cursor.execute("SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
        if cursor.fetchone()[0]:
            return
        cursor.execute("SELECT pg_sleep(0.02)")
    raise AssertionError("nobody waited")
