"""Whom a search proposes, over real HTTP and PostgreSQL: the right person, of the right organization."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen
from uuid import UUID, uuid4

import numpy as np
import pytest
from django.db import transaction

from engine.clock import utc_now
from engine.tenancy.context import organization
from tenants.events import services as events
from tenants.identity.events import PersonErased
from tenants.identity.models import Consent, Person, Template
from tenants.keyring.models import OrganizationKey, PersonKey
from tests.matcher.world import World, enrolled, new_model, text, vector

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("matcher")]


def cosine(a: object, b: object) -> float:
    one, other = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_the_person_comes_first_and_the_score_is_exact(w: World) -> None:
    model = new_model()
    people = [w.enroll(w.a, model, vector(seed), announce=False) for seed in range(12)]
    probe = vector(3) + 0.3 * vector(1000)
    answer = w.identify(w.a, model, probe, k=3)
    assert answer["gallery_size"] == 12
    expected = sorted(
        ((cosine(vector(seed), probe), person) for seed, person in enumerate(people)),
        reverse=True,
        key=lambda pair: pair[0],
    )
    assert [UUID(each["person_id"]) for each in answer["candidates"]] == [
        person.person_id for _, person in expected[:3]
    ]
    for candidate, (score, person) in zip(answer["candidates"], expected[:3], strict=True):
        assert candidate["score"] == pytest.approx(score, abs=1e-6)
        assert UUID(candidate["template_id"]) == person.template_id
        assert candidate["template_version"] == 1


def test_an_empty_gallery_finds_nobody(w: World) -> None:
    answer = w.identify(w.a, new_model(), vector(1))
    assert answer["candidates"] == []
    assert answer["gallery_size"] == 0


def test_a_stranger_resembles_nobody(w: World) -> None:
    model = new_model()
    for seed in range(5):
        w.enroll(w.a, model, vector(seed), announce=False)
    assert max(each["score"] for each in w.identify(w.a, model, vector(77))["candidates"]) < 0.5


def test_two_people_with_one_face_are_both_proposed(w: World) -> None:
    model = new_model()
    twins = {w.enroll(w.a, model, vector(1) * scale).person_id for scale in (1, 2.5, 0.01)}
    w.enroll(w.a, model, vector(2))
    answer = w.identify(w.a, model, vector(1), k=1)
    assert {UUID(each["person_id"]) for each in answer["candidates"]} == twins
    assert {each["score"] for each in answer["candidates"]} == {1.0}


def test_many_equal_faces_hide_nobody(w: World) -> None:
    model = new_model()
    crowd = {w.enroll(w.a, model, vector(1), announce=False).person_id for _ in range(30)}
    assert set(w.found(w.a, model, vector(1), k=1)) == crowd


def test_an_enrolment_is_found_once_its_event_is_sealed(w: World) -> None:
    model = new_model()
    assert w.found(w.a, model, vector(5)) == []
    person = w.enroll(w.a, model, vector(5))
    assert eventually(lambda: w.found(w.a, model, vector(5)) == [person.person_id])


def test_a_refresh_makes_an_enrolment_known_at_once(w: World) -> None:
    model = new_model()
    assert w.found(w.a, model, vector(5)) == []
    person = w.enroll(w.a, model, vector(5), announce=False)
    assert w.call(w.a, "/v1/refresh", person_id=str(person.person_id))["galleries"] >= 1
    assert w.found(w.a, model, vector(5)) == [person.person_id]


def test_an_empty_gallery_takes_the_length_of_its_first_template(w: World) -> None:
    model = new_model()
    assert w.found(w.a, model, vector(5, 64)) == []
    person = w.enroll(w.a, model, vector(5, 256), announce=False)
    w.call(w.a, "/v1/refresh", person_id=str(person.person_id))
    assert w.found(w.a, model, vector(5, 256)) == [person.person_id]


def test_a_withdrawn_consent_stops_matching_at_once_even_before_the_feed_says_so(w: World) -> None:
    model = new_model()
    person, other = (w.enroll(w.a, model, vector(seed)) for seed in (1, 2))
    assert w.found(w.a, model, vector(1))[0] == person.person_id
    w.withdraw(w.a, person, announce=False)
    assert w.found(w.a, model, vector(1)) == [other.person_id]
    refused = w.refused(
        w.a, "/v1/verify", person_id=str(person.person_id), modality="face", model=model, vector=text(vector(1))
    )
    assert (refused.status, refused.code) == (404, "template_missing")


def test_a_withdrawn_consent_leaves_memory_through_the_feed(w: World) -> None:
    model = new_model()
    person = w.enroll(w.a, model, vector(1))
    assert w.identify(w.a, model, vector(1))["gallery_size"] == 1
    w.withdraw(w.a, person)
    assert eventually(lambda: w.identify(w.a, model, vector(1))["gallery_size"] == 0)


def test_a_consent_that_is_granted_again_matches_again(w: World) -> None:
    model = new_model()
    person = w.enroll(w.a, model, vector(1))
    w.withdraw(w.a, person)
    assert eventually(lambda: w.identify(w.a, model, vector(1))["gallery_size"] == 0)
    with organization(w.a):
        Consent.objects.create(person_id=person.person_id, purpose="identify", granted_at=utc_now(), evidence="x")
    w.call(w.a, "/v1/refresh", person_id=str(person.person_id))
    assert w.found(w.a, model, vector(1)) == [person.person_id]


def test_a_consent_to_pay_is_no_consent_to_identify(w: World) -> None:
    model = new_model()
    person = w.enroll(w.a, model, vector(1), consent=False)
    with organization(w.a):
        Consent.objects.create(person_id=person.person_id, purpose="pay", granted_at=utc_now(), evidence="x")
    assert w.identify(w.a, model, vector(1))["gallery_size"] == 0


def test_what_is_dropped_is_loaded_again_and_nobody_elses_is_touched(w: World) -> None:
    model = new_model()
    for organization_ in (w.a, w.b):
        w.enroll(organization_, model, vector(1))
        assert w.identify(organization_, model, vector(1))["gallery_size"] == 1
    assert w.call(w.a, "/v1/drop") == {}
    with urlopen(f"{w.matcher.url}/metrics", timeout=10) as answer:
        assert 'keystead_matcher_galleries_dropped_total{reason="asked"}' in answer.read().decode()
    assert w.identify(w.a, model, vector(1))["gallery_size"] == 1


def test_an_evicted_person_is_gone_when_the_answer_comes(w: World) -> None:
    model = new_model()
    person, other = (w.enroll(w.a, model, vector(seed)) for seed in (1, 2))
    assert w.identify(w.a, model, vector(1))["gallery_size"] == 2
    assert w.call(w.a, "/v1/evict", person_id=str(person.person_id))["removed"] == 1
    answer = w.identify(w.a, model, vector(1))
    assert answer["gallery_size"] == 1
    assert [UUID(each["person_id"]) for each in answer["candidates"]] == [other.person_id]
    assert w.call(w.a, "/v1/evict", person_id=str(person.person_id))["removed"] == 0


def test_a_person_without_a_key_is_gone_for_good(w: World) -> None:
    model = new_model()
    person = w.enroll(w.a, model, vector(1))
    assert w.found(w.a, model, vector(1)) == [person.person_id]
    with organization(w.a):
        PersonKey.objects.filter(person_id=person.person_id).delete()
    assert w.found(w.a, model, vector(1)) == []
    with organization(w.a), transaction.atomic():
        events.record(event=PersonErased(person=Person(id=person.person_id).public_id))
    with organization(w.a):
        events.seal()
    assert eventually(lambda: w.identify(w.a, model, vector(1))["gallery_size"] == 0)


def test_a_retired_template_is_not_found_and_its_successor_is(w: World) -> None:
    model = new_model()
    person = w.enroll(w.a, model, vector(1))
    assert w.found(w.a, model, vector(1)) == [person.person_id]
    with organization(w.a):
        Template.objects.filter(id=person.template_id).update(state="retired", retired_at=utc_now())
    successor = w.enroll(w.a, model, vector(9), person_id=person.person_id, version=2)
    assert eventually(lambda: w.identify(w.a, model, vector(9))["candidates"][:1] != [])
    best = w.identify(w.a, model, vector(9))["candidates"][0]
    assert UUID(best["template_id"]) == successor.template_id
    assert best["template_version"] == 2
    assert w.identify(w.a, model, vector(1))["candidates"][0]["score"] < 0.5


def test_results_never_cross_modality_model_or_organization(w: World) -> None:
    one, two = new_model(), new_model()
    face = w.enroll(w.a, one, vector(1))
    palm = w.enroll(w.a, one, vector(1), modality="palm")
    other_model = w.enroll(w.a, two, vector(1))
    in_b = w.enroll(w.b, one, vector(1))
    assert w.found(w.a, one, vector(1)) == [face.person_id]
    assert w.found(w.a, two, vector(1)) == [other_model.person_id]
    assert w.found(w.b, one, vector(1)) == [in_b.person_id]
    answer = w.call(w.a, "/v1/identify", modality="palm", model=one, vector=text(vector(1)))
    assert [UUID(each["person_id"]) for each in answer["candidates"]] == [palm.person_id]
    for person in (palm, in_b, other_model):
        refused = w.refused(
            w.a, "/v1/verify", person_id=str(person.person_id), modality="face", model=one, vector=text(vector(1))
        )
        assert refused.code == "template_missing"


def test_a_verification_scores_the_one_person(w: World) -> None:
    model = new_model()
    person = w.enroll(w.a, model, vector(1))
    w.enroll(w.a, model, vector(2))
    probe = vector(1) + vector(50)
    answer = w.call(
        w.a, "/v1/verify", person_id=str(person.person_id), modality="face", model=model, vector=text(probe)
    )
    assert answer == {
        "score": pytest.approx(cosine(vector(1), probe), abs=1e-6),
        "template_id": str(person.template_id),
        "template_version": 1,
    }
    refused = w.refused(w.a, "/v1/verify", person_id=str(uuid4()), modality="face", model=model, vector=text(probe))
    assert (refused.status, refused.code) == (404, "template_missing")


@pytest.mark.parametrize("loaded", [True, False])
def test_rows_of_b_that_are_copied_into_a_do_not_open(w: World, loaded: bool) -> None:
    """The fourth wall: the leak has happened, person, template, keys and all, and nothing is found.

    Nor do such rows keep others from being found, whether a gallery is loaded over them or brought up to date.
    """
    model = new_model()
    honest = w.enroll(w.a, model, vector(2))
    stolen = w.enroll(w.b, model, vector(1))
    with organization(w.b):
        template = Template.objects.get(id=stolen.template_id)
        key = PersonKey.objects.get(person_id=stolen.person_id)
        organization_key = OrganizationKey.objects.get(purpose="biometric", state="active")
    if loaded:
        assert w.found(w.a, model, vector(1)) == [honest.person_id]
    with organization(w.a):
        with transaction.atomic():
            Person.objects.create(id=stolen.person_id)
            Consent.objects.create(person_id=stolen.person_id, purpose="identify", granted_at=utc_now(), evidence="x")
            Template.objects.bulk_create([template])
            PersonKey.objects.bulk_create([key])
            events.record(event=enrolled(stolen.person_id, template))
        events.seal()
    assert w.found(w.a, model, vector(1)) == [honest.person_id]
    body = {"person_id": str(stolen.person_id), "modality": "face", "model": model, "vector": text(vector(1))}
    assert w.refused(w.a, "/v1/verify", **body).code == "template_missing"
    with organization(w.a):
        # Even the organization key, as another version, for a person key that names it; and a version of nobody.
        organization_key.version, organization_key.state = 91, "retired"
        OrganizationKey.objects.bulk_create([organization_key], ignore_conflicts=True)
    for version in (91, 1091):
        with organization(w.a):
            PersonKey.objects.filter(id=key.id).update(organization_key_version=version)
        w.call(w.a, "/v1/refresh", person_id=str(stolen.person_id))
        assert w.found(w.a, model, vector(1)) == [honest.person_id]
        assert w.refused(w.a, "/v1/verify", **body).code == "template_missing"


@pytest.mark.parametrize("version", [191, 192])
def test_a_gallery_is_loaded_over_rows_whose_organization_key_does_not_open(w: World, version: int) -> None:
    model = new_model()
    people = [w.enroll(w.a, model, vector(seed), announce=False) for seed in range(4)]
    with organization(w.a):
        PersonKey.objects.filter(person_id=people[1].person_id).update(organization_key_version=version)
        if version == 191:
            OrganizationKey.objects.create(
                purpose="biometric", version=version, state="retired", wrapped=b"w" * 200, kms_key_id="biometric"
            )
    answer = w.identify(w.a, model, vector(0))
    assert answer["gallery_size"] == 3
    assert {UUID(each["person_id"]) for each in answer["candidates"]} == {
        each.person_id for n, each in enumerate(people) if n != 1
    }


@pytest.mark.parametrize("field", ["person", "modality", "model", "version", "key", "bytes"])
def test_a_template_that_is_moved_within_the_organization_does_not_open(w: World, field: str) -> None:
    model, other_model = new_model(), new_model()
    victim, thief = w.enroll(w.a, model, vector(1)), w.enroll(w.a, new_model(), vector(2))
    with organization(w.a):
        template = Template.objects.get(id=victim.template_id)
        sealed, key = bytes(template.sealed), PersonKey.objects.get(person_id=victim.person_id)
        if field == "person":
            Template.objects.filter(id=template.id).update(person_id=thief.person_id)
        elif field == "modality":
            Template.objects.filter(id=template.id).update(modality="palm")
        elif field == "model":
            Template.objects.filter(id=template.id).update(model=other_model)
        elif field == "version":
            Template.objects.filter(id=template.id).update(version=7)
        elif field == "key":
            wrapped = PersonKey.objects.get(person_id=thief.person_id).wrapped
            PersonKey.objects.filter(id=key.id).update(wrapped=wrapped)
        else:
            Template.objects.filter(id=template.id).update(sealed=sealed[:-1] + bytes([sealed[-1] ^ 1]))
    modality = "palm" if field == "modality" else "face"
    answer = w.call(
        w.a, "/v1/identify", modality=modality, model=other_model if field == "model" else model, vector=text(vector(1))
    )
    assert answer["candidates"] == []
    assert answer["gallery_size"] == 0


def test_searches_and_changes_at_the_same_time_find_who_stays(w: World) -> None:
    model = new_model()
    staying = w.enroll(w.a, model, vector(1))
    leaving = [w.enroll(w.a, model, vector(seed), announce=False) for seed in range(10, 30)]
    w.found(w.a, model, vector(1))

    def search(_: int) -> bool:
        return w.found(w.a, model, vector(1))[0] == staying.person_id

    with ThreadPoolExecutor(8) as pool:
        searches = [pool.submit(search, n) for n in range(60)]
        for person in leaving:
            w.call(w.a, "/v1/evict", person_id=str(person.person_id))
        assert all(each.result() for each in searches)
    assert w.identify(w.a, model, vector(1))["gallery_size"] == 1


def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether it holds within the time that the matcher promises for its feed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.1)
    return holds()
