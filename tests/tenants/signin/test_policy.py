"""What an organization asks of its people, and what admins may do for them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from engine.clock import utc_now
from engine.tenancy.context import OrganizationContext, organization
from shared.accounts import second_factors
from shared.accounts.models import Session, SignInPolicy
from tests.conftest import client_of
from tests.factories import access, oauth
from tests.shared.accounts.test_second_factors import Person

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def ada(org_a: OrganizationContext) -> Person:
    return Person(org_a)


def _client(org: OrganizationContext, role: str | None) -> APIClient:
    return access.signed_in(client_of(org), access.member_token(org, role))


class TestPolicy:
    def test_whoever_asks_for_it_has_one_and_then_it_counts_at_once(self, ada: Person) -> None:
        bob = _client(ada.org, "admin")
        asked = ada.client.put("/v1/sign-in-policy", {"mfa_required": True})
        assert (asked.status_code, asked.json()["code"]) == (409, "second_factor_needed")
        ada.enrol()
        assert ada.client.put("/v1/sign-in-policy", {"mfa_required": True}).json() == {"mfa_required": True}
        assert bob.get("/v1/people").json()["code"] == "second_factor_required"
        assert ada.client.put("/v1/sign-in-policy", {"mfa_required": False}).status_code == 200
        assert bob.get("/v1/people").status_code == 200

    def test_only_owners_change_it(self, ada: Person) -> None:
        for role in ("admin", "operator", "auditor"):
            assert _client(ada.org, role).put("/v1/sign-in-policy", {"mfa_required": False}).status_code == 403
        assert _client(ada.org, "auditor").get("/v1/sign-in-policy").json() == {"mfa_required": False}

    def test_asks_who_it_is(self, ada: Person) -> None:
        with organization(ada.org):
            Session.objects.update(authenticated_at=utc_now() - second_factors.FRESH - timedelta(seconds=1))
        answer = ada.client.put("/v1/sign-in-policy", {"mfa_required": False})
        assert answer.json()["code"] == "step_up_required"


class TestMembers:
    def test_an_admin_sees_and_ends_a_member_s_sessions(
        self, org_a: OrganizationContext, known_host: None, django_assert_max_num_queries: Any
    ) -> None:
        admin, bob = _client(org_a, "admin"), access.member(org_a, "analyst")
        path = f"/v1/members/{bob.principal.public_id}/sessions"
        with django_assert_max_num_queries(7):
            (row,) = admin.get(path).json()["data"]
        assert row["user_id"] == bob.principal.public_id
        assert admin.delete(path).status_code == 204
        assert access.signed_in(client_of(org_a), bob.token).get("/v1/me").status_code == 401
        assert admin.get(path).json()["data"] == []

    def test_but_not_those_of_somebody_who_holds_more(self, ada: Person) -> None:
        admin = _client(ada.org, "admin")
        for path in ("sessions", "second-factors"):
            answer = admin.delete(f"/v1/members/{ada.member.principal.public_id}/{path}")
            assert answer.json()["code"] == "cannot_grant_more"

    def test_who_lost_the_phone_gets_in_again(self, ada: Person) -> None:
        bob = Person(ada.org, "analyst")
        bob.enrol()
        path = f"/v1/members/{bob.member.principal.public_id}/second-factors"
        assert ada.client.delete(path).status_code == 204
        assert bob.client.get("/v1/me").status_code == 401
        assert bob.sign_in().status_code == 201
        with organization(ada.org):
            Session.objects.update(authenticated_at=utc_now() - second_factors.FRESH - timedelta(seconds=1))
        assert ada.client.delete(path).json()["code"] == "step_up_required"

    def test_one_signs_out_everywhere_else(self, ada: Person) -> None:
        other = access.signed_in(client_of(ada.org), ada.sign_in().json()["token"])
        assert ada.client.delete("/v1/sessions").status_code == 204
        assert other.get("/v1/me").status_code == 401
        assert ada.client.get("/v1/me").status_code == 200


class TestAppsThatMembersLetAct:
    def test_are_lent_nothing_that_the_member_may_not_use(self, org_a: OrganizationContext) -> None:
        app = oauth.member_app(org_a)
        member = access.member(org_a)
        browser = oauth.signed_in_browser(oauth.over_django(org_a), member)
        assert app.tokens(browser, scope="sites.read")["access_token"]
        with organization(org_a):
            SignInPolicy.objects.create(mfa_required=True)

        anew = oauth.Browser(oauth.over_django(org_a)).sign_in(member.email)

        assert (anew.status, "second factor" in anew.text) == (403, True)
        with pytest.raises(AssertionError):
            app.tokens(browser, scope="sites.read")
