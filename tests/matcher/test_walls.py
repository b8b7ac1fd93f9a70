"""Who may call, and as whom: without a fresh token of ours for this organization, nobody."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine import service_tokens
from engine.clock import utc_now
from engine.service_tokens import OrganizationClaims
from tests.harness import environment
from tests.matcher.world import World, claims, new_model, text, vector

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("matcher")]

ENDPOINTS = (
    "organization-keys",
    "person-keys",
    "person-keys/rewrap",
    "seal",
    "refresh",
    "evict",
    "drop",
    "verify",
    "identify",
)


def post(
    w: World, path: str, content: bytes, *, token: str | None = None, **headers: str
) -> tuple[int, dict[str, Any]]:
    """A bare call: status and parsed answer, which is a problem document whenever it is no success."""
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = Request(
        f"{w.matcher.url}/v1/{path}", data=content, headers={"Content-Type": "application/json", **headers}
    )
    try:
        with urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as refusal:
        assert refusal.headers["Content-Type"] == "application/problem+json"
        problem = json.load(refusal)
        assert problem["status"] == refusal.code
        assert problem["type"].endswith(problem["code"])
        return refusal.code, problem


def mint(organization: OrganizationClaims, **changes: Any) -> str:
    key = service_tokens.load_private_key(environment.SERVICE_KEY)
    return service_tokens.mint(**{"private_key": key, "audience": "matcher", "organization": organization, **changes})


def search_body(model: str = "none") -> bytes:
    return json.dumps({"modality": "face", "model": model, "vector": text(vector(1))}).encode()


@pytest.mark.parametrize("path", ENDPOINTS)
def test_every_endpoint_wants_a_token(w: World, path: str) -> None:
    for headers in ({}, {"Authorization": ""}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer "}):
        status, problem = post(w, path, b"{}", **headers)
        assert (status, problem["code"]) == (401, "invalid_service_token")


def test_a_token_that_is_not_ours_or_not_for_now_is_refused(w: World) -> None:
    acme = claims(w.a)
    for token in (
        mint(acme, private_key=Ed25519PrivateKey.generate()),
        mint(acme, audience="api"),
        mint(acme, clock=lambda: utc_now() - timedelta(minutes=5)),
        mint(acme, clock=lambda: utc_now() + timedelta(minutes=5)),
        mint(acme)[:-6],
    ):
        status, problem = post(w, "identify", search_body(), token=token)
        assert (status, problem["code"]) == (401, "invalid_service_token")
    assert post(w, "identify", search_body(), token=mint(acme))[0] == 200


def test_the_body_cannot_name_the_organization(w: World) -> None:
    body = json.dumps({**json.loads(search_body()), "organization": str(w.b.id)}).encode()
    status, problem = post(w, "identify", body, token=mint(claims(w.a)))
    assert (status, problem["code"]) == (422, "invalid_input")


def test_a_token_of_a_finds_nobody_of_b(w: World) -> None:
    model = new_model()
    person = w.enroll(w.b, model, vector(1))
    assert w.found(w.b, model, vector(1)) == [person.person_id]
    assert w.found(w.a, model, vector(1)) == []
    body = {"modality": "face", "model": model, "vector": text(vector(1)), "person_id": str(person.person_id)}
    assert w.refused(w.a, "/v1/verify", **body).code == "template_missing"


@pytest.mark.parametrize(
    ("schema", "role"),
    [
        ("a", "b"),
        ("b", "a"),
        ("none", "a"),
        ("a", "none"),
        ("public", "a"),
        ("a", "platform"),
        ("a", "owner"),
        ("quoted", "a"),
        ("a", "quoted"),
    ],
)
def test_a_schema_and_role_that_do_not_belong_together_reach_nothing(w: World, schema: str, role: str) -> None:
    """Only our own processes mint tokens; should one confuse two organizations, PostgreSQL refuses."""
    schemas = {
        "a": w.a.schema_name,
        "b": w.b.schema_name,
        "none": "ks_o_nothing",
        "public": "public",
        "quoted": 'ks_o_test_a"; SELECT 1; --',
    }
    roles = {
        "a": w.a.role_name,
        "b": w.b.role_name,
        "none": "ks_nobody",
        "platform": "ks_platform",
        "owner": "ks_owner",
        "quoted": 'ks"; RESET ROLE; --',
    }
    forged = OrganizationClaims(id=w.a.id, schema_name=schemas[schema], role_name=roles[role])
    status, problem = post(w, "identify", search_body(), token=mint(forged))
    assert (status, problem["code"]) == (403, "organization_unreachable")


def test_under_another_organizations_id_no_key_opens(w: World) -> None:
    """Schema and role of b, id of a: the rows are read, and their keys do not open for a."""
    model = new_model()
    person = w.enroll(w.b, model, vector(1))
    confused = OrganizationClaims(id=w.a.id, schema_name=w.b.schema_name, role_name=w.b.role_name)
    for path, body in (
        ("identify", {}),
        ("verify", {"person_id": str(person.person_id)}),
    ):
        content = json.dumps({**json.loads(search_body(model)), **body}).encode()
        status, problem = post(w, path, content, token=mint(confused))
        assert (status, problem["code"]) == (409, "key_mismatch")
    assert w.found(w.b, model, vector(1)) == [person.person_id]


def test_a_person_key_of_b_seals_and_moves_nothing_for_a(w: World) -> None:
    person_id = str(uuid4())
    made = w.call(w.b, "/v1/person-keys", key_id=str(uuid4()), person_id=person_id, organization_key_version=1)
    key = {name: made[name] for name in ("key_id", "organization_key_version", "wrapped")}
    body = {
        "person_id": person_id,
        "modality": "face",
        "model": new_model(),
        "version": 1,
        "person_key": key,
        "vector": text(vector(1)),
    }
    assert w.call(w.b, "/v1/seal", **body)["person_key"] == key
    assert w.refused(w.a, "/v1/seal", **body).code == "key_mismatch"
    assert w.refused(w.b, "/v1/seal", **{**body, "person_id": str(uuid4())}).code == "key_mismatch"
    moved = {name: made[name] for name in ("key_id", "person_id", "wrapped")}
    refused = w.refused(w.a, "/v1/person-keys/rewrap", from_version=1, to_version=1, person_keys=[moved])
    assert refused.code == "key_mismatch"


def test_what_is_not_there_and_what_is_not_allowed_are_problems_too(w: World) -> None:
    assert post(w, "nothing", b"{}")[1]["code"] == "not_found"
    request = Request(f"{w.matcher.url}/v1/identify", method="GET")
    with pytest.raises(HTTPError) as refused:
        urlopen(request, timeout=10)
    assert refused.value.code == 405
    for page in ("docs", "redoc", "openapi.json"):
        with pytest.raises(HTTPError) as refused:
            urlopen(f"{w.matcher.url}/{page}", timeout=10)
        assert refused.value.code == 404


def test_probes_and_metrics_answer_without_a_token_and_name_nobody(w: World) -> None:
    person = w.enroll(w.a, new_model(), vector(1))
    with urlopen(f"{w.matcher.url}/readyz", timeout=10) as answer:
        assert json.load(answer) == {"status": "ready", "database": "ok", "kms": "enabled"}
    with urlopen(f"{w.matcher.url}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    assert "keystead_matcher_search_seconds_count" in metrics
    for secret in (str(person.person_id), str(w.a.id), w.a.schema_name, w.a.slug):
        assert secret not in metrics


def test_the_log_holds_no_vector_and_no_token(w: World) -> None:
    marked = text(vector(4711))
    token = mint(claims(w.a))
    for path, content in (
        ("identify", json.dumps({"modality": "face", "model": new_model(), "vector": marked}).encode()),
        ("identify", json.dumps({"modality": "face", "vector": marked}).encode()),
        ("identify", json.dumps({"modality": "face", "model": marked, "vector": marked + "!"}).encode()),
    ):
        post(w, path, content, token=token)
    log = w.matcher.log.read_text()
    assert marked[:40] not in log
    assert token not in log
