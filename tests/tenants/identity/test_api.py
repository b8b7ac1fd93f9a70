"""People, consents and thresholds over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from rest_framework.test import APIClient

from engine import ids
from engine.ids import uuid7
from engine.tenancy.context import OrganizationContext, organization
from tenants.identity.models import Consent, Identification, MatchThreshold, Person, Template, Verification
from tests.conftest import client_of
from tests.factories.access import member_token, signed_in
from tests.factories.identity import Register, unopenable_template

VECTOR = [0.5] * 64


@pytest.fixture
def owner(org_a: OrganizationContext, http_a: APIClient) -> APIClient:
    return signed_in(http_a, member_token(org_a))


@pytest.fixture
def people(owner: APIClient) -> Register:
    """A register without a matcher."""
    return Register(owner, "model-1")


# --- People ----------------------------------------------------------------------------------------------


def test_make_get_change(owner: APIClient) -> None:
    made = owner.post("/v1/people", {"external_reference": "emp-7", "display_name": "Ada"})
    assert made.status_code == 201
    path = f"/v1/people/{made.json()['id']}"
    got = owner.get(path)
    assert got.json() == made.json()
    assert got["ETag"] == made["ETag"]

    changed = owner.patch(path, {"display_name": "Ada L."}, HTTP_IF_MATCH=got["ETag"])

    assert changed.status_code == 200, changed.content
    assert (changed.json()["display_name"], changed.json()["external_reference"]) == ("Ada L.", "emp-7")
    assert owner.get(path)["ETag"] == changed["ETag"] != got["ETag"]
    assert owner.get("/v1/people?external_reference=emp-7").json()["data"] == [changed.json()]
    assert owner.get("/v1/people?external_reference=emp-8").json()["data"] == []


def test_nobody_overwrites_what_they_have_not_seen(owner: APIClient) -> None:
    made = owner.post("/v1/people", {"display_name": "Ada"})
    path = f"/v1/people/{made.json()['id']}"
    owner.patch(path, {"display_name": "Bea"}, HTTP_IF_MATCH=made["ETag"])

    stale = owner.patch(path, {"display_name": "Cleo"}, HTTP_IF_MATCH=made["ETag"])
    blind = owner.patch(path, {"display_name": "Cleo"})

    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert (blind.status_code, blind.json()["code"]) == (428, "precondition_required")
    assert owner.get(path).json()["display_name"] == "Bea"


def test_an_external_reference_is_taken_once_and_can_be_given_up(people: Register) -> None:
    client = people.client
    first = people.person(external_reference="emp-7", consents=())
    second = people.person(external_reference="emp-8", consents=())
    any_version = {"HTTP_IF_MATCH": "*"}

    for answer in (
        client.post("/v1/people", {"external_reference": "emp-7"}),
        client.patch(f"/v1/people/{second}", {"external_reference": "emp-7"}, **any_version),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "external_reference_taken")
        assert answer.json()["errors"][0]["field"] == "external_reference"
    assert client.get(f"/v1/people/{second}").json()["external_reference"] == "emp-8"

    assert client.patch(f"/v1/people/{first}", {"external_reference": None}, **any_version).status_code == 200
    answer = client.patch(f"/v1/people/{second}", {"external_reference": "emp-7"}, **any_version)
    assert (answer.status_code, answer.json()["external_reference"]) == (200, "emp-7")


def test_a_reference_belongs_to_one_organization(people: Register, org_b: OrganizationContext) -> None:
    person = people.person(external_reference="emp-7", consents=())
    other = signed_in(client_of(org_b), member_token(org_b))

    assert other.post("/v1/people", {"external_reference": "emp-7"}).status_code == 201
    assert other.get(f"/v1/people/{person}").status_code == 404
    assert other.patch(f"/v1/people/{person}", {"display_name": "x"}, HTTP_IF_MATCH="*").status_code == 404
    assert other.delete(f"/v1/people/{person}").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"display_name": 7}, "display_name"),
        ({"display_name": "x" * 201}, "display_name"),
        ({"external_reference": ""}, "external_reference"),
        ({"external_reference": "x" * 129}, "external_reference"),
        ({"external_reference": "a\u0000b"}, "external_reference"),
        ({"status": "erased"}, "status"),
    ],
)
def test_bad_input_is_named(body: Any, field: str, people: Register) -> None:
    person = people.person(consents=())
    for answer in (
        people.client.post("/v1/people", body),
        people.client.patch(f"/v1/people/{person}", body, HTTP_IF_MATCH="*"),
    ):
        assert answer.status_code == 400
        assert field in [error["field"] for error in answer.json()["errors"]]


def test_the_same_key_makes_one_person(owner: APIClient, org_a: OrganizationContext) -> None:
    answers = [
        owner.post("/v1/people", {"external_reference": "emp-7"}, headers={"Idempotency-Key": "make-7"}) for _ in "ab"
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    with organization(org_a):
        assert Person.objects.filter(external_reference="emp-7").count() == 1


@pytest.mark.parametrize("role", ["analyst", None])
def test_who_may_not_enrol(role: str | None, people: Register, org_a: OrganizationContext) -> None:
    person = people.person(consents=())
    client = signed_in(client_of(org_a), member_token(org_a, role))
    stranger = Register(client, people.model)

    assert client.post("/v1/people", {}).status_code == 403
    assert client.delete(f"/v1/people/{person}").status_code == 403
    assert client.post("/v1/consents", {"person": person, "purpose": "pay", "evidence": "x"}).status_code == 403
    assert stranger.enroll(person, VECTOR).status_code == 403
    assert stranger.verify(person, VECTOR).status_code == 403
    assert stranger.identify(VECTOR).status_code == 403
    assert people.client.get(f"/v1/people/{person}").json()["status"] == "active"


# --- Consents --------------------------------------------------------------------------------------------


def test_a_consent_is_granted_once_withdrawn_once_and_can_be_granted_anew(people: Register) -> None:
    person = people.person(consents=())
    first = people.consent(person)
    assert people.consent(person) == first
    assert people.consent(person, "pay") != first

    path = f"/v1/consents/{first}/withdraw"
    withdrawn = people.client.post(path)
    assert withdrawn.status_code == 200
    assert withdrawn.json()["withdrawn_at"] is not None
    assert people.client.post(path).json() == withdrawn.json()
    assert people.consent(person) != first

    listed = people.client.get(f"/v1/consents?person={person}").json()["data"]
    assert sorted((one["purpose"], one["withdrawn_at"] is None) for one in listed) == [
        ("identify", False),
        ("identify", True),
        ("pay", True),
    ]


def test_a_consent_of_nobody(people: Register) -> None:
    nobody = ids.encode("per", uuid7())
    answer = people.client.post("/v1/consents", {"person": nobody, "purpose": "pay", "evidence": "x"})
    assert answer.status_code == 404
    assert people.client.post(f"/v1/consents/{ids.encode('con', uuid7())}/withdraw").status_code == 404


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"purpose": "market"}, "purpose"),
        ({"evidence": ""}, "evidence"),
        ({"person": "per_x"}, "person"),
        ({"person": ids.encode("con", UUID(int=1))}, "person"),
    ],
)
def test_a_bad_consent_is_named(changes: dict[str, Any], field: str, people: Register) -> None:
    body = {"person": people.person(consents=()), "purpose": "pay", "evidence": "x", **changes}
    answer = people.client.post("/v1/consents", body)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


# --- Vectors that never get as far as the matcher ------------------------------------------------------------


@pytest.mark.parametrize(
    "vector",
    [
        [0.0] * 64,
        [1e-45] * 64,
        [1.0] * 63,
        [1.0] * 2049,
        [*[1.0] * 63, "1"],
        [*[1.0] * 63, True],
        [*[1.0] * 63, None],
        [*[1.0] * 63, 1e39],
        [*[1.0] * 63, 10**400],
        "AAAA" * 86,
        {"0": 1.0},
        None,
    ],
    ids=lambda vector: repr(vector)[-12:],
)
@pytest.mark.parametrize("path", ["/v1/templates", "/v1/verifications", "/v1/identifications"])
def test_a_bad_vector_is_named(path: str, vector: Any, people: Register) -> None:
    body = {"modality": "face", "model": people.model, "vector": vector}
    if path != "/v1/identifications":
        body["person"] = people.person()
    answer = people.client.post(path, json.dumps(body), content_type="application/json")
    assert answer.status_code == 400, answer.content
    # The parser names the very number that no float can hold.
    assert [error["field"].partition(".")[0] for error in answer.json()["errors"]] == ["vector"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_refused(number: str, people: Register) -> None:
    vector = f"[{', '.join(['1.0'] * 63)}, {number}]"
    body = f'{{"modality": "face", "model": "m", "vector": {vector}}}'
    answer = people.client.post("/v1/identifications", body, content_type="application/json")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"modality": "gait"}, "modality"), ({"model": "Model 1"}, "model"), ({"model": ""}, "model")],
)
def test_a_bad_modality_or_model_is_named(changes: dict[str, str], field: str, people: Register) -> None:
    answer = people.identify(VECTOR, **changes)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_without_a_consent_nothing_is_enrolled_or_compared(people: Register, org_a: OrganizationContext) -> None:
    person = people.person(consents=("pay",))
    for answer in (people.enroll(person, VECTOR), people.verify(person, VECTOR)):
        assert (answer.status_code, answer.json()["code"]) == (409, "consent_missing")
        assert answer.json()["purpose"] == "identify"
    with organization(org_a):
        assert not Template.objects.exists()
        assert not Verification.objects.exists()


def test_nobody_can_be_enrolled_or_compared(people: Register) -> None:
    nobody = ids.encode("per", uuid7())
    assert people.enroll(nobody, VECTOR).status_code == 404
    assert people.verify(nobody, VECTOR).status_code == 404
    assert people.client.get(f"/v1/templates/{ids.encode('tpl', uuid7())}").status_code == 404
    assert people.client.delete(f"/v1/templates/{ids.encode('tpl', uuid7())}").status_code == 404


def test_a_matcher_that_is_away_is_said_so_and_leaves_no_row(people: Register, org_a: OrganizationContext) -> None:
    answer = people.enroll(people.person(), VECTOR)
    assert (answer.status_code, answer.json()["code"]) == (503, "matcher_unavailable")
    assert people.identify(VECTOR).status_code == 503
    with organization(org_a):
        assert not Template.objects.exists()
        assert not Identification.objects.exists()


# --- Thresholds ------------------------------------------------------------------------------------------


def test_a_threshold_is_set_once_per_modality_and_model(owner: APIClient) -> None:
    body = {"modality": "face", "model": "m", "verification_min": 0.7, "identification_min": 0.8}
    first = owner.put("/v1/match-thresholds", body)
    assert first.status_code == 200
    again = owner.put("/v1/match-thresholds", {**body, "verification_min": 0.75})
    assert again.json()["id"] == first.json()["id"]
    assert [one["verification_min"] for one in owner.get("/v1/match-thresholds").json()["data"]] == [0.75]


@pytest.mark.parametrize("value", [0, -0.5, 1.01, "0.7", True, None, 10**400])
@pytest.mark.parametrize("field", ["verification_min", "identification_min"])
def test_a_bad_threshold_is_named(field: str, value: Any, owner: APIClient) -> None:
    body = {"modality": "face", "model": "m", "verification_min": 0.7, "identification_min": 0.8, field: value}
    answer = owner.put("/v1/match-thresholds", body)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


# --- Lists -----------------------------------------------------------------------------------------------


def one_of_each(number: int) -> None:
    person = Person.objects.create(external_reference=f"emp-{number}")
    Consent.objects.create(person=person, purpose="identify", evidence="x", granted_at=person.created_at)
    common = {"modality": "face", "model": "model-1", "outcome": "match", "score": 0.9, "threshold": 0.6}
    made = unopenable_template(person.id)
    Verification.objects.create(person=person, template=made, **common)
    Identification.objects.create(person=person, template=made, gallery_size=number, **common)
    MatchThreshold.objects.create(modality="face", model=f"m-{number}", verification_min=0.7, identification_min=0.7)


@pytest.mark.parametrize(
    "path", ["people", "consents", "templates", "verifications", "identifications", "match-thresholds"]
)
def test_a_list_costs_as_much_with_many_rows_as_with_one(
    path: str, owner: APIClient, org_a: OrganizationContext
) -> None:
    statements: list[str] = []

    def note(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        statements.append(sql)
        return execute(sql, *rest)

    def listed() -> tuple[int, int]:
        statements.clear()
        with connection.execute_wrapper(note):
            answer = owner.get(f"/v1/{path}")
        assert answer.status_code == 200
        return len(answer.json()["data"]), len(statements)

    with organization(org_a):
        one_of_each(0)
    listed()  # what is read once per process has been read
    rows, cost = listed()
    assert rows == 1
    assert 0 < cost < 20
    with organization(org_a):
        for number in range(1, 9):
            one_of_each(number)
    assert listed() == (9, cost)
    assert not [sql for sql in statements if "sealed" in sql and "identity_template" in sql]


def test_lists_are_narrowed_to_a_person(people: Register, org_a: OrganizationContext) -> None:
    with organization(org_a):
        one_of_each(1)
        one_of_each(2)
        mine = Person.objects.get(external_reference="emp-1").public_id
    for path in ("consents", "templates", "verifications", "identifications"):
        data = people.client.get(f"/v1/{path}?person={mine}").json()["data"]
        assert [one["person"] for one in data] == [mine], path
        assert people.client.get(f"/v1/{path}?person=per_x").status_code == 400
