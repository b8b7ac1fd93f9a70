"""Roles, groups, grants with limits, and questions about decisions, over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from engine.clock import utc_now
from engine.ids import encode, uuid7
from engine.tenancy.context import OrganizationContext
from tests.conftest import client_of
from tests.factories import access as factory
from tests.factories.devices import enrolled


@pytest.fixture
def owner(org_a: OrganizationContext, http_a: APIClient) -> APIClient:
    return factory.signed_in(http_a, factory.member_token(org_a, "owner"))


@pytest.fixture
def admin(org_a: OrganizationContext) -> APIClient:
    return factory.signed_in(client_of(org_a), factory.member_token(org_a, "admin"))


def _nobody(org: OrganizationContext) -> tuple[str, APIClient]:
    member = factory.member(org, None)
    return member.principal.public_id, factory.signed_in(client_of(org), member.token)


def _post(client: APIClient, path: str, body: Any) -> Any:
    answer = client.post(path, body)
    assert answer.status_code == 201, answer.content
    return answer.json()


class TestRoles:
    def test_make_hold_change_and_delete(self, owner: APIClient, org_a: OrganizationContext) -> None:
        answer = owner.post("/v1/roles", {"name": "night-shift", "permissions": ["sites.read", "sites.read"]})
        role = answer.json()
        assert (answer.status_code, role["permissions"], role["principals"]) == (201, ["sites.read"], ["app", "member"])
        nobody, client = _nobody(org_a)
        assert client.get("/v1/sites").status_code == 403
        grant = _post(owner, "/v1/grants", {"principal": nobody, "role": "night-shift"})
        assert client.get("/v1/sites").status_code == 200

        changed = owner.patch(
            f"/v1/roles/{role['id']}", {"permissions": ["devices.read"]}, headers={"If-Match": answer["ETag"]}
        )
        assert (changed.status_code, client.get("/v1/sites").status_code) == (200, 403)
        assert client.get("/v1/devices").status_code == 200
        stale = owner.patch(f"/v1/roles/{role['id']}", {"meaning": "x"}, headers={"If-Match": answer["ETag"]})
        assert stale.status_code == 412

        assert owner.delete(f"/v1/roles/{role['id']}").json()["code"] == "role_in_use"
        assert owner.delete(f"/v1/grants/{grant['id']}").status_code == 204
        assert owner.delete(f"/v1/roles/{role['id']}").status_code == 204
        assert "night-shift" not in [one["name"] for one in owner.get("/v1/roles").json()["data"]]

    @pytest.mark.parametrize(
        ("body", "status", "code", "field"),
        [
            ({"name": "Shift", "permissions": ["sites.read"]}, 400, "invalid_input", "name"),
            ({"name": "admin", "permissions": ["sites.read"]}, 409, "role_name_taken", "name"),
            ({"name": "loop", "permissions": ["admin"]}, 400, "unknown_permission", "permissions"),
            ({"name": "fly", "permissions": ["people.fly"]}, 400, "unknown_permission", "permissions"),
            ({"name": "none", "permissions": []}, 400, "invalid_input", "permissions"),
            ({"name": "mixed", "permissions": ["sites.read", "checkout.create"]}, 400, "invalid_input", "permissions"),
        ],
    )
    def test_bad_input_is_named(self, body: Any, status: int, code: str, field: str, owner: APIClient) -> None:
        answer = owner.post("/v1/roles", body)

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert [error["field"] for error in answer.json()["errors"]] == [field]

    def test_a_role_of_its_own_includes_no_other(self, owner: APIClient) -> None:
        _post(owner, "/v1/roles", {"name": "first", "permissions": ["sites.read"]})

        answer = owner.post("/v1/roles", {"name": "second", "permissions": ["first"]})

        assert (answer.status_code, answer.json()["code"]) == (400, "unknown_permission")

    def test_nobody_makes_or_widens_one_beyond_what_they_hold(self, owner: APIClient, admin: APIClient) -> None:
        refused = admin.post("/v1/roles", {"name": "money", "permissions": ["payments.write"]})
        assert (refused.status_code, refused.json()["missing"]) == (403, ["payments.write"])

        made = admin.post("/v1/roles", {"name": "look", "permissions": ["sites.read"]})
        path, etag = f"/v1/roles/{made.json()['id']}", {"If-Match": made["ETag"]}
        widened = admin.patch(path, {"permissions": ["payments.write"]}, headers=etag)
        assert (widened.status_code, widened.json()["code"]) == (403, "cannot_grant_more")
        # Nor may one take from others what one could not give them.
        owned = owner.patch(path, {"permissions": ["payments.write"]}, headers=etag)
        narrowed = admin.patch(path, {"permissions": ["sites.read"]}, headers={"If-Match": owned["ETag"]})
        assert narrowed.status_code == 403


class TestGroups:
    def test_whoever_is_in_it_holds_what_it_holds(self, owner: APIClient, org_a: OrganizationContext) -> None:
        nobody, client = _nobody(org_a)
        group = _post(owner, "/v1/groups", {"name": "Auditors", "kind": "member"})
        _post(owner, "/v1/grants", {"principal": group["id"], "role": "auditor"})
        assert client.get("/v1/sites").status_code == 403

        put_in = _post(owner, f"/v1/groups/{group['id']}/memberships", {"principal": nobody})

        assert client.get("/v1/sites").status_code == 200
        listed = owner.get(f"/v1/groups/{group['id']}/memberships").json()["data"]
        assert [one["principal"] for one in listed] == [nobody]
        again = _post(owner, f"/v1/groups/{group['id']}/memberships", {"principal": nobody})
        assert again["id"] == put_in["id"]
        assert owner.delete(f"/v1/groups/{group['id']}").json()["code"] == "group_in_use"
        assert owner.delete(f"/v1/groups/{group['id']}/memberships/{put_in['id']}").status_code == 204
        assert client.get("/v1/sites").status_code == 403

    def test_a_deactivated_member_leaves(self, owner: APIClient, org_a: OrganizationContext) -> None:
        nobody, _ = _nobody(org_a)
        group = _post(owner, "/v1/groups", {"name": "Here", "kind": "member"})
        _post(owner, f"/v1/groups/{group['id']}/memberships", {"principal": nobody})

        owner.delete(f"/v1/members/{nobody}")

        assert owner.get(f"/v1/groups/{group['id']}/memberships").json()["data"] == []
        refused = owner.post(f"/v1/groups/{group['id']}/memberships", {"principal": nobody})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "principal")

    def test_putting_somebody_in_is_giving(
        self, owner: APIClient, admin: APIClient, org_a: OrganizationContext
    ) -> None:
        nobody, _ = _nobody(org_a)
        group = _post(owner, "/v1/groups", {"name": "Tills", "kind": "member"})
        _post(owner, "/v1/grants", {"principal": group["id"], "role": "operator"})

        refused = admin.post(f"/v1/groups/{group['id']}/memberships", {"principal": nobody})

        assert (refused.status_code, refused.json()["missing"]) == (403, ["payments.write"])

    def test_bad_input_is_named(self, owner: APIClient, org_a: OrganizationContext) -> None:
        nobody, _ = _nobody(org_a)
        group = _post(owner, "/v1/groups", {"name": "Readers", "kind": "device"})
        memberships = f"/v1/groups/{group['id']}/memberships"

        assert owner.post("/v1/groups", {"name": "readers", "kind": "member"}).json()["code"] == "group_name_taken"
        assert owner.post("/v1/groups", {"name": "x", "kind": "app"}).status_code == 400
        wrong_kind = owner.post(memberships, {"principal": nobody})
        assert wrong_kind.json()["errors"][0] == {
            "field": "principal",
            "code": "invalid_input",
            "detail": "This is a group of devices.",
        }
        assert owner.post(memberships, {"principal": encode("dev", uuid7())}).status_code == 400
        grants: list[dict[str, Any]] = [
            {"role": "owner"},
            {"role": "auditor"},
            {"role": "terminal", "limits": {"mfa_max_age_s": 900}},
        ]
        for more in grants:
            assert owner.post("/v1/grants", {"principal": group["id"], **more}).status_code == 400, more
        members = _post(owner, "/v1/groups", {"name": "Bosses", "kind": "member"})
        refused = owner.post("/v1/grants", {"principal": members["id"], "role": "owner"})
        assert (refused.status_code, refused.json()["code"]) == (400, "unknown_role")


class TestLimits:
    @pytest.mark.parametrize(
        ("role", "limits", "field"),
        [
            ("owner", {"mfa_max_age_s": 900}, "limits"),
            ("auditor", {"expires_at": "2020-01-01T00:00:00Z"}, "limits.expires_at"),
            ("auditor", {"mfa_max_age_s": 1}, "limits.mfa_max_age_s"),
            ("auditor", {"amount_max_minor": 100, "currency": "EUR"}, "limits.amount_max_minor"),
            ("auditor", {"amount_max_minor": 100}, "limits.currency"),
            ("auditor", {"currency": "EUR"}, "limits.currency"),
            ("auditor", {"hours": [{"days": [1], "from": "08:00", "to": "08:00"}]}, "limits.hours"),
            ("auditor", {"hours": [{"days": [1], "from": "8", "to": "09:00"}]}, "limits.hours"),
            ("auditor", {"hours": [{"days": [8], "from": "08:00", "to": "09:00"}]}, "limits.hours.0.days.0"),
            ("auditor", {"amount_min_minor": 1}, "limits.amount_min_minor"),
        ],
    )
    def test_one_that_nothing_would_hold_is_refused(
        self, role: str, limits: Any, field: str, owner: APIClient, org_a: OrganizationContext
    ) -> None:
        nobody, _ = _nobody(org_a)

        answer = owner.post("/v1/grants", {"principal": nobody, "role": role, "limits": limits})

        assert answer.status_code == 400
        assert [error["field"] for error in answer.json()["errors"]] == [field]

    def test_are_told_and_one_grant_has_one_set_of_them(self, owner: APIClient, org_a: OrganizationContext) -> None:
        nobody, _ = _nobody(org_a)
        limits = {"mfa_max_age_s": 900, "hours": [{"days": [1, 7], "from": "22:00", "to": "06:00"}]}
        body = {"principal": nobody, "role": "auditor", "limits": limits}
        grant = _post(owner, "/v1/grants", body)

        told = owner.get(f"/v1/grants/{grant['id']}").json()["limits"]
        assert (told["mfa_max_age_s"], told["hours"], told["currency"]) == (900, limits["hours"], "")
        assert _post(owner, "/v1/grants", body)["id"] == grant["id"]
        other = owner.post("/v1/grants", {**body, "limits": {}})
        assert (other.status_code, other.json()["code"]) == (409, "grant_exists")

    def test_a_refusal_says_that_a_second_factor_would_help(self, owner: APIClient, org_a: OrganizationContext) -> None:
        nobody, client = _nobody(org_a)
        _post(owner, "/v1/grants", {"principal": nobody, "role": "auditor", "limits": {"mfa_max_age_s": 900}})

        refused = client.get("/v1/members").json()

        assert (refused["reason"], refused["step_up"]) == ("mfa_required", True)

    def test_nobody_hands_out_what_outlives_or_exceeds_their_own(
        self, owner: APIClient, org_a: OrganizationContext
    ) -> None:
        giver, client = _nobody(org_a)
        taker, _ = _nobody(org_a)
        soon = utc_now() + timedelta(hours=1)
        _post(owner, "/v1/grants", {"principal": giver, "role": "admin", "limits": {"expires_at": soon}})

        forever = client.post("/v1/grants", {"principal": taker, "role": "auditor"})
        longer = client.post(
            "/v1/grants",
            {"principal": taker, "role": "auditor", "limits": {"expires_at": soon + timedelta(minutes=1)}},
        )
        shorter = client.post(
            "/v1/grants", {"principal": taker, "role": "auditor", "limits": {"expires_at": soon - timedelta(minutes=1)}}
        )

        assert [one.status_code for one in (forever, longer, shorter)] == [403, 403, 201]


class TestQuestions:
    def test_a_batch_about_oneself_and_others(self, owner: APIClient, org_a: OrganizationContext) -> None:
        nobody, client = _nobody(org_a)
        site = _post(owner, "/v1/sites", {"name": f"S {uuid4().hex}"})["id"]
        elsewhere = _post(owner, "/v1/sites", {"name": f"E {uuid4().hex}"})["id"]
        device = enrolled(org_a)
        grant = _post(owner, "/v1/grants", {"principal": nobody, "role": "auditor", "scope": "site", "site_id": site})

        answer = owner.post(
            "/v1/access/check",
            {
                "checks": [
                    {"permission": "sites.write"},
                    {"principal": nobody, "permission": "sites.read", "resource": site},
                    {"principal": nobody, "permission": "sites.read", "resource": elsewhere},
                    {"principal": nobody, "permission": "sites.write", "resource": site},
                    {"principal": nobody, "permission": "people.fly"},
                    {"principal": device.public_id, "permission": "checkout.create", "resource": device.public_id},
                ]
            },
        )

        found = answer.json()["data"]
        assert [one["reason"] for one in found] == [
            "granted",
            "granted",
            "out_of_scope",
            "no_grant",
            "unknown_permission",
            "granted",
        ]
        assert (found[1]["grant"], found[2]["missing"], found[2]["step_up"]) == (grant["id"], "sites.read", False)
        own = client.post("/v1/access/check", {"checks": [{"permission": "sites.read", "resource": site}]})
        assert own.json()["data"][0]["allowed"]

    def test_what_is_out_of_sight_is_not_there(self, owner: APIClient, org_a: OrganizationContext) -> None:
        _, client = _nobody(org_a)
        mine = owner.get("/v1/sessions").json()["data"][0]["user_id"]
        site = _post(owner, "/v1/sites", {"name": f"S {uuid4().hex}"})["id"]
        for more, field in (
            ({"principal": mine}, "principal"),
            ({"principal": encode("mem", uuid7())}, "principal"),
            ({"resource": site}, "resource"),
            ({"resource": encode("site", uuid7())}, "resource"),
        ):
            for path, body, prefix in (
                ("/v1/access/check", {"checks": [{"permission": "sites.read", **more}]}, "checks.0."),
                ("/v1/access/explain", {"permission": "sites.read", **more}, ""),
            ):
                answer = client.post(path, body)
                assert answer.status_code == 400
                assert answer.json()["errors"][0]["field"] == f"{prefix}{field}"

    def test_the_number_of_queries_does_not_grow(
        self, owner: APIClient, org_a: OrganizationContext, known_host: None, django_assert_max_num_queries: Any
    ) -> None:
        people = [_nobody(org_a)[0] for _ in range(5)]
        sites = [_post(owner, "/v1/sites", {"name": f"S {uuid4().hex}"})["id"] for _ in range(5)]
        checks = [{"principal": one, "permission": "sites.read", "resource": site} for one in people for site in sites]

        with django_assert_max_num_queries(20) as few:
            owner.post("/v1/access/check", {"checks": checks[:1]})
        with django_assert_max_num_queries(20) as many:
            owner.post("/v1/access/check", {"checks": checks})

        assert len(few) == len(many)

    def test_explains_each_grant(self, owner: APIClient, org_a: OrganizationContext) -> None:
        nobody, client = _nobody(org_a)
        group = _post(owner, "/v1/groups", {"name": "Readers", "kind": "member"})
        _post(owner, f"/v1/groups/{group['id']}/memberships", {"principal": nobody})
        _post(owner, "/v1/grants", {"principal": nobody, "role": "analyst"})
        limited = _post(
            owner, "/v1/grants", {"principal": group["id"], "role": "admin", "limits": {"mfa_max_age_s": 900}}
        )

        found = client.post("/v1/access/explain", {"permission": "sites.write"}).json()

        assert (found["decision"]["reason"], found["decision"]["step_up"]) == ("mfa_required", True)
        assert [(one["role"], one["has_permission"], one["failures"]) for one in found["grants"]] == [
            ("analyst", False, []),
            ("admin", True, ["mfa_required"]),
        ]
        assert (found["grants"][1]["group"], found["grants"][1]["grant"]) == (group["id"], limited["id"])
        helped = client.post("/v1/access/explain", {"permission": "sites.write", "with_mfa": True}).json()
        assert helped["decision"]["grant"] == limited["id"]

    def test_the_future_is_not_known(self, owner: APIClient) -> None:
        answer = owner.post("/v1/access/explain", {"permission": "sites.read", "at": "2999-01-01T00:00:00Z"})

        assert answer.json()["errors"][0]["field"] == "at"

    def test_the_catalogue(self, owner: APIClient) -> None:
        found = owner.get("/v1/permissions").json()

        assert {"name", "meaning", "since", "principals"} == set(found["data"][0])
        assert [one["principals"] for one in found["data"] if one["name"] == "checkout.create"] == [["device"]]


@pytest.mark.parametrize("path", ["groups", "grants"])
def test_a_list_takes_as_many_queries_for_many_as_for_one(
    path: str, owner: APIClient, org_a: OrganizationContext, known_host: None, django_assert_num_queries: Any
) -> None:
    def add() -> None:
        site = _post(owner, "/v1/sites", {"name": uuid4().hex})["id"]
        group = _post(owner, "/v1/groups", {"name": uuid4().hex, "kind": "member"})["id"]
        _post(owner, "/v1/grants", {"principal": group, "role": "auditor", "scope": "site", "site_id": site})

    add()
    # Session, decision, list.
    with django_assert_num_queries(3):
        owner.get(f"/v1/{path}")
    for _ in range(3):
        add()
    with django_assert_num_queries(3):
        assert len(owner.get(f"/v1/{path}").json()["data"]) >= 4
