"""The platform's host: who may call what, and what operators see and change."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import URLPattern, URLResolver

from config import urls_platform
from engine.api.access import OPERATOR_READ, OPERATOR_WRITE, Marker, declared
from engine.api.views import APIView
from shared.operators.rules import Role
from tests.factories import access, operators
from tests.factories.access import signed_in

pytestmark = pytest.mark.usefixtures("db")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def _views(patterns: list[Any]) -> list[tuple[type[APIView], str]]:
    """Every method of every view of the API below ``patterns``."""
    found = []
    for one in patterns:
        if isinstance(one, URLResolver):
            found += _views(one.url_patterns)
        elif isinstance(one, URLPattern) and (view := getattr(one.callback, "cls", None)) is not None:
            found += [(view, method) for method in _METHODS if hasattr(view, method.lower())]
    return found


def _undeclared(views: list[tuple[type[APIView], str]]) -> list[str]:
    """Those that nobody may call because they say nothing, and those of operators that let a reader write."""
    problems = []
    for view, method in views:
        permission = declared(view, method)
        if not isinstance(permission, Marker):
            problems.append(f"{method} {view.__name__}: declares no operator's permission")
        elif permission is OPERATOR_READ and method != "GET":
            problems.append(f"{method} {view.__name__}: changes things and asks for reading only")
    return problems


def test_every_view_of_the_platform_declares_who_may_call_it() -> None:
    views = _views(list(urls_platform.urlpatterns))
    assert len([one for one in views if declared(*one) in {OPERATOR_READ, OPERATOR_WRITE}]) > 15
    assert _undeclared(views) == []


def test_planted_a_view_that_forgets_is_noticed() -> None:
    class Forgot(APIView):
        def get(self, request: Any) -> Any: ...

    class TooOpen(APIView):
        permission = OPERATOR_READ

        def post(self, request: Any) -> Any: ...

    assert len(_undeclared([(Forgot, "GET"), (TooOpen, "POST")])) == 2


def test_support_reads_and_changes_nothing() -> None:
    client = operators.operator(Role.SUPPORT).client()
    for path in ("organizations", "plans", "flows", "fleet", "operators", "operator-acts", "sessions"):
        assert client.get(f"/v1/{path}").status_code == 200, path
    answer = client.post("/v1/plans", {"code": "gold"})
    assert (answer.status_code, answer.json()["reason"]) == (403, "operator_role")


def test_members_and_strangers_get_nowhere(org_a: Any) -> None:
    member = access.member_token(org_a)
    for path in ("organizations", "operators", "operator-acts"):
        assert operators.platform_client().get(f"/v1/{path}").status_code == 401
        assert signed_in(operators.platform_client(), member).get(f"/v1/{path}").status_code == 401


def test_a_role_that_was_taken_counts_at_once() -> None:
    first, second = operators.operator(Role.ADMIN), operators.operator(Role.ADMIN)
    path = f"/v1/operators/{second.principal.public_id}"
    changed = first.client().put(f"{path}/role", {"role": "support", "reason": "moved to support"})
    assert changed.json()["role"] == "support"
    assert second.client().post("/v1/plans", {"code": "gold"}).status_code == 403
    assert first.client().post(f"{path}/disable", {"reason": "left"}).json()["state"] == "deactivated"
    assert second.client().get("/v1/plans").status_code == 401
    acts = first.client().get(f"/v1/operator-acts?operator={first.principal.public_id}").json()["data"]
    assert [(one["action"], one["reason"]) for one in acts] == [
        ("operator.disabled", "left"),
        ("operator.role_changed", "moved to support"),
        ("session.created", ""),
    ]
    refused = first.client().post(f"/v1/operators/{first.principal.public_id}/disable", {"reason": "me too"})
    assert (refused.status_code, refused.json()["code"]) == (409, "last_admin")


def test_another_operators_session_is_listed_and_ended() -> None:
    admin, other = operators.operator(Role.ADMIN), operators.operator(Role.SUPPORT)
    path = f"/v1/operators/{other.principal.public_id}/sessions"
    (session,) = admin.client().get(path).json()["data"]
    assert admin.client().delete(f"{path}/{session['id']}").status_code == 204
    assert other.client().get("/v1/plans").status_code == 401
    mine = f"/v1/operators/{admin.principal.public_id}/sessions/{session['id']}"
    assert admin.client().delete(mine).status_code == 404


def test_a_new_authenticator_over_http_is_shown_once() -> None:
    admin, other = operators.operator(Role.ADMIN), operators.operator(Role.SUPPORT)
    path = f"/v1/operators/{other.principal.public_id}/reset-totp"
    answer = admin.client().post(path, {"reason": "lost phone"})
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json()["otpauth_url"].startswith("otpauth://totp/")
    assert len(answer.json()["recovery_codes"]) == 10


def test_a_plan_is_made_and_changed_with_a_record() -> None:
    client = operators.operator(Role.ADMIN).client()
    plan = client.post("/v1/plans", {"code": "gold", "title": "Gold"}).json()
    changed = client.patch(f"/v1/plans/{plan['id']}", {"devices_max": 7}).json()
    assert (changed["devices_max"], changed["people_max"]) == (7, plan["people_max"])
    assert client.post("/v1/plans", {"code": "gold"}).json()["code"] == "plan_exists"
    assert client.post("/v1/plans", {"code": "Gold!"}).status_code == 400
    (act,) = client.get("/v1/operator-acts?action=plan.changed").json()["data"]
    assert act["detail"]["before"] == {"devices_max": plan["devices_max"]}


def test_a_flow_shows_its_steps_and_the_fleet_its_figures() -> None:
    client = operators.operator(Role.ADMIN).client()
    body = {"slug": "harbour", "name": "Harbour", "plan": "standard", "admin_email": "ada@example.com"}
    made = client.post("/v1/organizations", body).json()
    (flow,) = client.get(f"/v1/flows?organization={made['id']}&kind=create").json()["data"]
    assert flow == client.get(f"/v1/flows/{flow['id']}").json()
    assert flow["steps"][0]["state"] == "current"
    assert {step["state"] for step in flow["steps"][1:]} == {"ahead"}
    fleet = client.get("/v1/fleet").json()
    assert fleet["statuses"] == {"active": 2, "provisioning": 1}
    assert sum(one["organizations"] for one in fleet["generations"]) == 3
    (act,) = client.get(f"/v1/operator-acts?organization={made['id']}").json()["data"]
    assert (act["action"], act["organization"]) == ("organization.requested", made["id"])


@pytest.mark.parametrize("path", ["operators", "operator-acts", "flows", "plans", "organizations"])
def test_a_list_costs_the_same_however_long(path: str, django_assert_max_num_queries: Any) -> None:
    admin = operators.operator(Role.ADMIN)
    for number in range(3):
        operators.operator(Role.SUPPORT)
        body = {"slug": f"quay-{number}", "name": "Quay", "plan": "standard", "admin_email": "ada@example.com"}
        assert admin.client().post("/v1/organizations", body).status_code == 202
    # The session with its account, the role, and the page.
    with django_assert_max_num_queries(3):
        assert len(admin.client().get(f"/v1/{path}").json()["data"]) >= 1
