"""A view is open to exactly those whom it declares."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from engine.api import access
from tests.engine.api.test_problems import problem_of

pytestmark = pytest.mark.usefixtures("db")


def test_an_undeclared_view_is_closed_to_everyone(signed_in: APIClient) -> None:
    body = problem_of(signed_in.get("/v1/undeclared"), 403, "permission_denied")
    assert body["reason"] == "undeclared"


def test_an_anonymous_caller_is_told_how_to_sign_in(api: APIClient) -> None:
    response = api.get("/v1/things")
    problem_of(response, 401, "not_authenticated")
    assert response["WWW-Authenticate"].startswith("Bearer")
    problem_of(api.get("/v1/undeclared"), 401, "not_authenticated")


def test_a_wrong_token_is_refused_even_on_a_public_view(api: APIClient) -> None:
    api.credentials(HTTP_AUTHORIZATION="Bearer nonsense")
    problem_of(api.get("/v1/mine"), 401, "authentication_failed")
    problem_of(api.post("/v1/small", {}), 401, "authentication_failed")


def test_a_missing_permission_is_named(signed_in: APIClient) -> None:
    body = problem_of(signed_in.get("/v1/refused"), 403, "permission_denied")
    assert body["permission"] == "things.never"
    assert body["reason"] == "no_grant"


def test_markers_tell_staff_from_members(api: APIClient) -> None:
    api.credentials(HTTP_AUTHORIZATION="Bearer operator")
    assert api.get("/v1/staff").status_code == 200
    assert problem_of(api.post("/v1/staff", {}), 403, "permission_denied")["reason"] == "operator_role"
    problem_of(api.get("/v1/mine"), 403, "permission_denied")
    api.credentials(HTTP_AUTHORIZATION="Bearer member")
    assert api.get("/v1/mine").status_code == 200
    problem_of(api.get("/v1/staff"), 403, "permission_denied")


def test_an_object_that_may_not_be_seen_does_not_exist(signed_in: APIClient) -> None:
    assert signed_in.get("/v1/guarded/open").status_code == 200
    problem_of(signed_in.get("/v1/guarded/hidden"), 404, "not_found")


def test_without_a_checker_nobody_gets_in(signed_in: APIClient) -> None:
    access.set_checker(None)
    problem_of(signed_in.get("/v1/things"), 500, "internal_error")


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "per_01h455vb4pex5vsknk084sn02q",
        "site_01h455vb4pex5vsknk084sn02",
        "site_81h455vb4pex5vsknk084sn02q",
        "site_01H455VB4PEX5VSKNK084SN02Q",
        "site_%00h455vb4pex5vsknk084sn02q",
        "../../etc",
    ],
)
def test_an_id_of_another_kind_is_not_found(signed_in: APIClient, text: str) -> None:
    problem_of(signed_in.get(f"/v1/things/{text}"), 404, "not_found")


def test_a_view_gets_the_uuid_of_its_path(signed_in: APIClient) -> None:
    response = signed_in.get("/v1/things/site_01h455vb4pex5vsknk084sn02q")
    assert response.json()["id"] == "01890a5d-ac96-774b-bcce-b302099a8057"
