"""Operators who look into an organization: what they reach, what the organization is told, and every end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from engine import ids, outbox
from engine.clock import utc_now
from engine.outbox.inline import drain
from engine.principals import SYSTEM
from engine.tenancy.context import OrganizationContext, public_schema
from provisioning import impersonation
from shared.operators import impersonations, services
from shared.operators import selectors as read
from shared.operators.rules import Role
from tenants.access.permissions import IMPERSONATION_ROLES
from tests.conftest import client_of
from tests.factories import access, operators
from tests.factories.access import signed_in
from tests.factories.operators import Operator

pytestmark = pytest.mark.usefixtures("db")


def _start(admin: Operator, org: OrganizationContext, **changes: Any) -> Any:
    body = {"reason": "ticket 7", "minutes": 10, "otp": admin.fresh_code(), **changes}
    return admin.client().post(f"/v1/organizations/{_public(org)}/impersonations", body)


def _public(org: OrganizationContext) -> str:
    return ids.encode("org", org.id)


def _inside(org: OrganizationContext, token: str) -> APIClient:
    return signed_in(client_of(org), token)


@pytest.fixture
def admin() -> Operator:
    operators.operator(Role.ADMIN)
    return operators.operator(Role.ADMIN)


@pytest.fixture(autouse=True)
def signing_key(org_a: OrganizationContext, org_b: OrganizationContext) -> None:
    for org in (org_a, org_b):
        access.app_token(org)


class TestStart:
    def test_it_reads_and_every_answer_says_so(self, admin: Operator, org_a: OrganizationContext) -> None:
        started = _start(admin, org_a)
        assert (started.status_code, started.headers["Cache-Control"]) == (201, "no-store")
        client = _inside(org_a, started.json()["token"])
        for path in ("people", "payments", "devices", "audit-entries", "members"):
            answer = client.get(f"/v1/{path}")
            assert answer.status_code == 200, path
            assert answer.headers["Keystead-Impersonation"].startswith(
                f"{started.json()['id']};operator={admin.principal.public_id};role=read;expires=@"
            )
        me = client.get("/v1/me").json()
        assert (me["id"], me["kind"]) == (admin.principal.public_id, "operator")
        assert (me["impersonation"]["id"], me["impersonation"]["reason"]) == (started.json()["id"], "ticket 7")
        own = _inside(org_a, access.member_token(org_a)).get("/v1/me")
        assert own.json()["impersonation"] is None
        assert "Keystead-Impersonation" not in own.headers

    @pytest.mark.parametrize("code", ["000000", "", None])
    def test_it_needs_a_code_that_is_right(self, admin: Operator, org_a: OrganizationContext, code: Any) -> None:
        assert _start(admin, org_a, otp=code).status_code in {400, 403}

    def test_a_code_that_was_used_is_not_fresh(self, admin: Operator, org_a: OrganizationContext) -> None:
        code = admin.fresh_code()
        assert _start(admin, org_a, otp=code).status_code == 201
        again = {"reason": "ticket 7", "otp": code}
        refused = admin.client().post(f"/v1/organizations/{_public(org_a)}/impersonations", again)
        assert (refused.status_code, refused.json()["code"]) == (403, "fresh_code_needed")

    @pytest.mark.parametrize("wrong", [{"minutes": 61}, {"minutes": 0}, {"reason": "  "}, {"role": "owner"}])
    def test_limits(self, admin: Operator, org_a: OrganizationContext, wrong: dict[str, Any]) -> None:
        assert _start(admin, org_a, **wrong).status_code == 400

    def test_support_does_not(self, org_a: OrganizationContext) -> None:
        assert _start(operators.operator(Role.SUPPORT), org_a).status_code == 403

    def test_not_where_nobody_is_let_in(self, admin: Operator, org_a: OrganizationContext) -> None:
        suspend = f"/v1/organizations/{_public(org_a)}/suspend"
        assert admin.client().post(suspend, {"reason": "unpaid"}).status_code == 200
        assert _start(admin, org_a).json()["code"] == "organization_not_active"


class TestWall:
    def test_it_is_good_at_one_organization_only(
        self, admin: Operator, org_a: OrganizationContext, org_b: OrganizationContext
    ) -> None:
        token = _start(admin, org_a).json()["token"]
        assert _inside(org_b, token).get("/v1/people").status_code == 401
        assert signed_in(operators.platform_client(), token).get("/v1/plans").status_code == 401
        assert _inside(org_a, admin.token).get("/v1/people").status_code == 401

    def test_nothing_in_a_role_moves_money_touches_biometrics_or_outlives_it(self) -> None:
        writes = {name for role in IMPERSONATION_ROLES.values() for name in role if not name.endswith(".read")}
        assert writes == {"sites.write"}

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("payments", {}),
            ("templates", {}),
            ("identifications", {}),
            ("verifications", {}),
            ("members", {"email": "me@example.com", "role": "owner"}),
            ("apps", {"name": "mine", "roles": []}),
            ("webhook-endpoints", {}),
            ("enrolment-codes", {}),
            ("people", {}),
        ],
    )
    def test_what_it_never_does(
        self, admin: Operator, org_a: OrganizationContext, path: str, body: dict[str, Any]
    ) -> None:
        client = _inside(org_a, _start(admin, org_a, role="assist").json()["token"])
        answer = client.post(f"/v1/{path}", body, headers={"Idempotency-Key": str(uuid4())})
        assert (answer.status_code, answer.json()["reason"]) == (403, "wrong_kind")

    def test_a_reader_writes_nothing(self, admin: Operator, org_a: OrganizationContext) -> None:
        client = _inside(org_a, _start(admin, org_a).json()["token"])
        assert client.post("/v1/sites", {"name": "Harbour"}).json()["reason"] == "token_scope"


class TestTold:
    def test_the_organization_reads_start_requests_and_end(self, admin: Operator, org_a: OrganizationContext) -> None:
        started = _start(admin, org_a, role="assist").json()
        assert _inside(org_a, started["token"]).post("/v1/sites", {"name": "Harbour"}).status_code == 201
        ended = admin.client().post(f"/v1/impersonations/{started['id']}/end")
        assert ended.json()["state"] == "ended"
        drain(rounds=5)
        owner = _inside(org_a, access.member_token(org_a))
        told = owner.get(f"/v1/audit-entries?resource={started['id']}").json()["data"]
        assert [one["action"] for one in reversed(told)] == [
            "impersonation.started",
            "impersonation.request",
            "impersonation.ended",
        ]
        end, request, start = told
        assert start["actor"]["id"] == request["actor"]["id"] == admin.principal.public_id
        assert (start["detail"]["reason"], start["detail"]["role"]) == ("ticket 7", "assist")
        assert request["detail"] == {"role": "assist", "method": "POST", "route": "v1/sites"}
        assert end["detail"]["how"] == "ended"
        made = owner.get("/v1/audit-entries").json()["data"]
        assert {"site.created"} <= {one["action"] for one in made if one["actor"]["id"] == admin.principal.public_id}
        log = admin.client().get(f"/v1/operator-acts?organization={_public(org_a)}").json()["data"]
        assert [one["action"] for one in log] == ["impersonation.ended", "impersonation.started"]

    def test_an_expiry_is_told_once_and_not_before(self, admin: Operator, org_a: OrganizationContext) -> None:
        started = _start(admin, org_a).json()
        impersonation_id = ids.decode("imp", started["id"])
        with pytest.raises(outbox.Postpone):
            impersonation.tell_end(impersonation_id=impersonation_id)
        later = utc_now() + timedelta(minutes=10, seconds=1)
        for _ in range(2):
            impersonation.tell_end(impersonation_id=impersonation_id, clock=lambda: later)
        owner = _inside(org_a, access.member_token(org_a))
        told = owner.get(f"/v1/audit-entries?resource={started['id']}").json()["data"]
        assert [one["action"] for one in told] == ["impersonation.ended", "impersonation.started"]
        assert told[0]["detail"]["how"] == "expired"


class TestEnds:
    @pytest.mark.parametrize("how", ["ended", "disabled", "demoted", "expired"])
    def test_the_token_is_dead_at_once(self, admin: Operator, org_a: OrganizationContext, how: str) -> None:
        started = _start(admin, org_a).json()
        client = _inside(org_a, started["token"])
        assert client.get("/v1/people").status_code == 200
        with public_schema():
            if how == "ended":
                impersonations.end(impersonation_id=ids.decode("imp", started["id"]), by=SYSTEM)
            elif how == "disabled":
                services.disable(operator_id=admin.principal.id, by=SYSTEM)
            elif how == "demoted":
                services.set_role(operator_id=admin.principal.id, role=Role.SUPPORT, by=SYSTEM)
            else:
                row = read.impersonations().get(id=ids.decode("imp", started["id"]))
                hashed, later = row.token_hash, row.expires_at
                found = read.living_impersonation(token_hash=hashed, organization_id=org_a.id, at=later)
                assert found is None
                return
        assert client.get("/v1/people").status_code == 401

    def test_a_list_costs_the_same_however_long(
        self, admin: Operator, org_a: OrganizationContext, django_assert_max_num_queries: Any
    ) -> None:
        for _ in range(3):
            assert _start(admin, org_a).status_code == 201
        with django_assert_max_num_queries(3):
            rows = admin.client().get(f"/v1/impersonations?organization={_public(org_a)}").json()["data"]
        assert [row["state"] for row in rows] == ["active"] * 3
