"""Roles, grants, members, apps and sessions over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django_otp.plugins.otp_totp.models import TOTPDevice
from rest_framework.test import APIClient

from engine.ids import encode, uuid7
from engine.tenancy.context import OrganizationContext, organization
from shared.accounts.models import Passkey, User
from tenants.access import services
from tenants.access.permissions import ROLES
from tenants.signin.models import IdentityProvider, LinkedIdentity
from tests.conftest import client_of
from tests.factories import access as factory


@pytest.fixture
def owner(org_a: OrganizationContext, http_a: APIClient) -> APIClient:
    return factory.signed_in(http_a, factory.member_token(org_a, "owner"))


@pytest.fixture
def foreign(org_b: OrganizationContext, http_b: APIClient) -> APIClient:
    return factory.signed_in(http_b, factory.member_token(org_b, "owner"))


def _invite(client: APIClient, **more: Any) -> Any:
    return client.post("/v1/members", {"email": f"{uuid4().hex}@example.com", **more}).json()


class TestSessions:
    def test_from_an_invitation_to_signing_out(self, owner: APIClient, org_a: OrganizationContext) -> None:
        invited = _invite(owner, display_name="Grace", role="analyst")
        anonymous = client_of(org_a)
        accepted = anonymous.post(
            "/v1/invitations/accept",
            {"token": invited["invitation_token"], "password": factory.PASSWORD},
        )
        assert (accepted.status_code, accepted.json()["state"]) == (200, "active")

        answer = anonymous.post("/v1/sessions", {"email": invited["email"].upper(), "password": factory.PASSWORD})

        assert answer.status_code == 201
        assert answer["Cache-Control"] == "no-store"
        body = answer.json()
        assert body["user_id"] == invited["id"]
        client = factory.signed_in(anonymous, body["token"])
        assert client.get("/v1/sites").status_code == 200
        assert [one["id"] for one in client.get("/v1/sessions").json()["data"]] == [body["id"]]
        assert "token" not in client.get("/v1/sessions").json()["data"][0]
        assert client.delete("/v1/sessions/current").status_code == 204
        assert client.get("/v1/sites").status_code == 401

    def test_nobody_ends_somebody_else_s(self, owner: APIClient, org_a: OrganizationContext) -> None:
        mine = owner.get("/v1/sessions").json()["data"][0]["id"]
        other = factory.signed_in(client_of(org_a), factory.member_token(org_a, "owner"))

        assert other.delete(f"/v1/sessions/{mine}").status_code == 404
        assert owner.delete(f"/v1/sessions/{mine}").status_code == 204
        assert owner.get("/v1/sessions").status_code == 401

    def test_a_stale_token_does_not_stop_a_sign_in(self, org_a: OrganizationContext) -> None:
        member = factory.member(org_a)
        client = factory.signed_in(client_of(org_a), "kst_" + "0" * 43)

        answer = client.post("/v1/sessions", {"email": member.email, "password": factory.PASSWORD})

        assert answer.status_code == 201

    def test_an_app_has_none(self, org_a: OrganizationContext) -> None:
        client = factory.signed_in(client_of(org_a), factory.app_token(org_a))

        assert client.get("/v1/sessions").json()["data"] == []
        assert client.delete("/v1/sessions/current").status_code == 403

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "email"),
            ({"email": 7, "password": "x"}, "email"),
            ({"email": "a@example.com"}, "password"),
            ({"email": "a@example.com", "password": ["x"]}, "password"),
            ({"email": "a@example.com", "password": "x" * 201}, "password"),
            ({"email": "a" * 300, "password": "x"}, "email"),
            ({"email": "a@example.com", "password": "x", "remember": True}, "remember"),
        ],
    )
    def test_bad_input_is_named(self, body: Any, field: str, http_a: APIClient) -> None:
        answer = http_a.post("/v1/sessions", body)

        assert answer.status_code == 400
        assert field in [error["field"] for error in answer.json()["errors"]]

    def test_a_wrong_password_is_a_problem_that_says_little(
        self, http_a: APIClient, org_a: OrganizationContext
    ) -> None:
        member = factory.member(org_a)
        known = http_a.post("/v1/sessions", {"email": member.email, "password": "wrong wrong wrong"})
        unknown = http_a.post("/v1/sessions", {"email": "nobody@example.com", "password": "wrong wrong wrong"})

        assert known.status_code == unknown.status_code == 401
        for answer in (known, unknown):
            body = answer.json()
            body.pop("request_id")
            assert body == {
                "type": "https://docs.keystead.dev/problems/sign_in_refused",
                "title": "The e-mail address or the password is wrong",
                "status": 401,
                "code": "sign_in_refused",
            }


class TestGrants:
    def test_give_list_and_take(self, owner: APIClient) -> None:
        member = _invite(owner)
        given = owner.post("/v1/grants", {"principal": member["id"], "role": "auditor"})
        assert given.status_code == 201
        grant = given.json()
        assert (grant["principal"], grant["role"], grant["scope"]) == (
            member["id"],
            "auditor",
            "organization",
        )

        listed = owner.get(f"/v1/grants?principal={member['id']}").json()["data"]
        assert [one["id"] for one in listed] == [grant["id"]]

        assert owner.delete(f"/v1/grants/{grant['id']}").status_code == 204
        assert owner.delete(f"/v1/grants/{grant['id']}").status_code == 404
        assert owner.get(f"/v1/grants?principal={member['id']}").json()["data"] == []

    def test_over_a_site(self, owner: APIClient, org_a: OrganizationContext) -> None:
        north = owner.post("/v1/sites", {"name": "North"}).json()
        gate = owner.post("/v1/sites", {"name": "Gate", "parent_id": north["id"]}).json()
        south = owner.post("/v1/sites", {"name": "South"}).json()
        regional = factory.member(org_a, None)
        member_id = regional.principal.public_id
        owner.post(
            "/v1/grants",
            {"principal": member_id, "role": "admin", "scope": "site", "site_id": north["id"]},
        )
        client = factory.signed_in(client_of(org_a), regional.token)

        assert {one["name"] for one in client.get("/v1/sites").json()["data"]} == {"North", "Gate"}
        assert client.get(f"/v1/sites/{gate['id']}").status_code == 200
        assert client.get(f"/v1/sites/{south['id']}").status_code == 404
        assert client.post("/v1/sites", {"name": "Hall", "parent_id": gate["id"]}).status_code == 201
        for parent in (south["id"], None):
            refused = client.post("/v1/sites", {"name": "Hall", "parent_id": parent})
            assert (refused.status_code, refused.json()["reason"]) == (403, "out_of_scope")
        moved = client.patch(f"/v1/sites/{gate['id']}", {"parent_id": None}, HTTP_IF_MATCH="*")
        assert moved.status_code == 403
        assert client.get("/v1/members").json()["reason"] == "out_of_scope"

    @pytest.mark.parametrize("role", [None, "analyst", "auditor", "operator", "admin"])
    def test_what_one_lacks_is_said(self, role: str | None, org_a: OrganizationContext) -> None:
        member = factory.member(org_a, role)
        client = factory.signed_in(client_of(org_a), member.token)

        answer = client.post("/v1/grants", {"principal": member.principal.public_id, "role": "owner"})

        assert answer.status_code == 403
        expected = "cannot_grant_more" if role == "admin" else "permission_denied"
        assert answer.json()["code"] == expected

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"principal": "mem_x", "role": "auditor"}, "principal"),
            ({"principal": "opr_0000000000000000000000000f", "role": "auditor"}, "principal"),
            ({"principal": 1, "role": "auditor"}, "principal"),
            ({"principal": encode("mem", uuid7()), "role": "auditor"}, "principal"),
            ({"principal": encode("app", uuid7()), "role": "auditor"}, "principal"),
            ({"principal": encode("dev", uuid7()), "role": "terminal"}, "principal"),
            ({"principal": "me", "role": "auditor", "scope": "planet"}, "scope"),
            ({"principal": "me", "role": "emperor"}, "role"),
            ({"principal": "me", "role": None}, "role"),
            ({"principal": "me", "role": "auditor", "scope": "site"}, "site_id"),
            ({"principal": "me", "role": "auditor", "scope": "site", "site_id": encode("site", uuid7())}, "site_id"),
            ({"principal": "me", "role": "auditor", "site_id": "site_x"}, "site_id"),
            ({"principal": "me", "role": "auditor", "admin": True}, "admin"),
        ],
    )
    def test_bad_input_is_named(self, body: Any, field: str, owner: APIClient) -> None:
        if body["principal"] == "me":
            body = {**body, "principal": owner.get("/v1/sessions").json()["data"][0]["user_id"]}

        answer = owner.post("/v1/grants", body)

        assert answer.status_code == 400, answer.content
        assert field in [error["field"] for error in answer.json()["errors"]]

    def test_things_of_another_organization_do_not_exist(self, owner: APIClient, foreign: APIClient) -> None:
        member = _invite(foreign, role="auditor")
        site = foreign.post("/v1/sites", {"name": "Theirs"}).json()
        grant = foreign.get(f"/v1/grants?principal={member['id']}").json()["data"][0]
        app = foreign.post("/v1/apps", {"name": "Theirs"}).json()

        for path in (f"members/{member['id']}", f"apps/{app['id']}", f"sites/{site['id']}"):
            assert owner.get(f"/v1/{path}").status_code == 404
        for path in (f"members/{member['id']}", f"apps/{app['id']}", f"grants/{grant['id']}"):
            assert owner.delete(f"/v1/{path}").status_code == 404
        assert owner.post(f"/v1/apps/{app['id']}/rotate-secret").status_code == 404
        assert owner.patch(f"/v1/sites/{site['id']}", {"name": "Mine"}, HTTP_IF_MATCH="*").status_code == 404
        assert owner.get(f"/v1/grants?principal={member['id']}").json()["data"] == []
        refused = owner.post("/v1/grants", {"principal": member["id"], "role": "auditor"})
        assert refused.json()["errors"][0]["field"] == "principal"
        mine = owner.get("/v1/sessions").json()["data"][0]["user_id"]
        refused = owner.post(
            "/v1/grants",
            {"principal": mine, "role": "auditor", "scope": "site", "site_id": site["id"]},
        )
        assert refused.json()["errors"][0]["field"] == "site_id"
        under = owner.post("/v1/sites", {"name": "Mine", "parent_id": site["id"]})
        assert under.json()["errors"][0]["field"] == "parent_id"


class TestMembers:
    def test_the_invitation_s_token_is_shown_once(self, owner: APIClient) -> None:
        member = _invite(owner)

        assert member["invitation_token"].startswith("kin_")
        assert "invitation_token" not in owner.get(f"/v1/members/{member['id']}").json()

    def test_a_deactivated_member_is_out(self, owner: APIClient, org_a: OrganizationContext) -> None:
        member = factory.member(org_a, "auditor")
        client = factory.signed_in(client_of(org_a), member.token)
        assert client.get("/v1/roles").status_code == 200

        answer = owner.delete(f"/v1/members/{member.principal.public_id}")

        assert answer.json()["state"] == "deactivated"
        assert client.get("/v1/roles").status_code == 401
        refused = client_of(org_a).post("/v1/sessions", {"email": member.email, "password": factory.PASSWORD})
        assert refused.status_code == 401

    def test_nothing_that_signed_in_before_outlives_a_deactivation(
        self, owner: APIClient, org_a: OrganizationContext
    ) -> None:
        member = factory.member(org_a, "auditor")
        with organization(org_a):
            user = User.objects.get(id=member.principal.id)
            Passkey.objects.create(user=user, name="Key", credential_id=b"1", public_key=b"2", sign_count=0)
            TOTPDevice.objects.create(user=user, name="phone", confirmed=True)
            provider = IdentityProvider.objects.create(
                name="Elsewhere", issuer="https://idp.example", client_id="x", created_by="sys"
            )
            LinkedIdentity.objects.create(provider=provider, subject="ada", user=user)

        owner.delete(f"/v1/members/{member.principal.public_id}")

        with organization(org_a):
            assert not Passkey.objects.filter(user=user).exists()
            assert not TOTPDevice.objects.filter(user=user).exists()
            assert not LinkedIdentity.objects.filter(user=user).exists()

    def test_the_last_owner_stays(self, owner: APIClient) -> None:
        mine = owner.get("/v1/sessions").json()["data"][0]["user_id"]

        answer = owner.delete(f"/v1/members/{mine}")

        assert (answer.status_code, answer.json()["code"]) == (409, "last_owner")

    def test_somebody_who_is_one_already(self, owner: APIClient, org_a: OrganizationContext) -> None:
        member = factory.member(org_a)

        answer = owner.post("/v1/members", {"email": member.email})

        assert (answer.status_code, answer.json()["code"]) == (409, "member_exists")

    def test_a_repeat_with_the_same_key_invites_once(self, owner: APIClient) -> None:
        body = {"email": f"{uuid4().hex}@example.com"}
        key = {"HTTP_IDEMPOTENCY_KEY": uuid4().hex}

        first = owner.post("/v1/members", body, **key)
        again = owner.post("/v1/members", body, **key)

        assert again.json() == first.json()
        assert again["Idempotent-Replayed"] == "true"


class TestApps:
    def test_the_secret_is_shown_once(self, owner: APIClient) -> None:
        made = owner.post("/v1/apps", {"name": "Till", "roles": ["operator"]})

        assert made.status_code == 201
        assert made["Cache-Control"] == "no-store"
        body = made.json()
        assert body["client_secret"].startswith("kcs_")
        assert body["client_id"] == body["id"]
        assert "client_secret" not in owner.get(f"/v1/apps/{body['id']}").json()
        assert all("client_secret" not in one for one in owner.get("/v1/apps").json()["data"])

    def test_rotate_and_deactivate(self, owner: APIClient) -> None:
        app = owner.post("/v1/apps", {"name": "Till"}).json()

        rotated = owner.post(f"/v1/apps/{app['id']}/rotate-secret").json()
        gone = owner.delete(f"/v1/apps/{app['id']}").json()
        refused = owner.post(f"/v1/apps/{app['id']}/rotate-secret")

        assert rotated["client_secret"] != app["client_secret"]
        assert rotated["secret_rotated_at"]
        assert gone["is_active"] is False
        assert (refused.status_code, refused.json()["code"]) == (409, "app_inactive")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "name"),
            ({"name": ""}, "name"),
            ({"name": "x" * 121}, "name"),
            ({"name": "x", "roles": ["owner"]}, "roles.0"),
            ({"name": "x", "roles": "admin"}, "roles"),
            ({"name": "x", "roles": [{}]}, "roles.0"),
        ],
    )
    def test_bad_input_is_named(self, body: Any, field: str, owner: APIClient) -> None:
        answer = owner.post("/v1/apps", body)

        assert answer.status_code == 400
        assert field in [error["field"] for error in answer.json()["errors"]]

    def test_an_admin_cannot_make_an_app_that_moves_money(self, org_a: OrganizationContext) -> None:
        client = factory.signed_in(client_of(org_a), factory.member_token(org_a, "admin"))

        assert client.post("/v1/apps", {"name": "x", "roles": ["operator"]}).status_code == 403
        assert client.post("/v1/apps", {"name": "x", "roles": ["admin"]}).status_code == 201


def test_roles_are_told_as_they_are(owner: APIClient) -> None:
    told = {one["name"]: set(one["permissions"]) for one in owner.get("/v1/roles").json()["data"]}

    assert told == {name: set(role.permissions) for name, role in ROLES.items()}


@pytest.mark.usefixtures("known_host")
@pytest.mark.parametrize(
    ("path", "more"),
    # Session, grants, then the list itself; sites ask for the caller's reach, and the zones of what lies above.
    [("/v1/members", 0), ("/v1/apps", 0), ("/v1/grants", 0), ("/v1/sites", 2), ("/v1/sessions", -1)],
)
def test_a_page_costs_the_same_however_long_it_is(
    path: str, more: int, owner: APIClient, org_a: OrganizationContext, django_assert_num_queries: Any
) -> None:
    principal = factory.member(org_a, "owner").principal
    with organization(org_a):
        from tenants.sites import services as sites

        top = sites.create(name=f"Top {uuid4().hex}", by=principal)
        for number in range(6):
            site = sites.create(name=f"Site {number}", by=principal, parent_id=top.id)
            app = services.create_app(name=f"App {number}", by=principal).app
            services.grant_role(principal=app.principal, role="auditor", scope="site", site_id=site.id, by=principal)
            services.invite_member(email=f"{uuid4().hex}@example.com", by=principal)

    for limit in (1, 5):
        with django_assert_num_queries(3 + more):
            page = owner.get(f"{path}?limit={limit}").json()
    assert path == "/v1/sessions" or len(page["data"]) == 5
    assert path == "/v1/sessions" or page["next_cursor"]


@pytest.mark.parametrize(
    "path", ["roles", "grants", "members", "apps", "sites", "sessions", "members/mem_x", "apps/app_x"]
)
def test_nobody_gets_nothing(path: str, http_a: APIClient) -> None:
    assert http_a.get(f"/v1/{path}").status_code in {401, 404}
