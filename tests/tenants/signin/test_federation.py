"""Signing in at an organization's OIDC provider, over HTTP against real ones on loopback."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from engine.clock import utc_now
from engine.tenancy.context import OrganizationContext, organization
from shared.accounts import second_factors
from shared.accounts.models import Ceremony, Session, SignInPolicy
from tenants.audit.models import Entry
from tenants.signin.adapters import oidc
from tenants.signin.models import IdentityProvider, LinkedIdentity
from tests.conftest import client_of
from tests.factories import access
from tests.factories.oidc import CLIENT_ID, CLIENT_SECRET, Liar, Provider, certified, liar, node_folder

pytestmark = pytest.mark.usefixtures("db")
CALLBACK = "http://org-a.keystead.test/sign-in/callback"
# npm's is the certified one. Where there is no Node, ours alone is what there is.
SERVERS = ["ours", *(["oidc-provider"] if node_folder() else [])]


@pytest.fixture(autouse=True)
def loopback(settings: Any) -> None:
    settings.IDENTITY_PROVIDER_ALLOW_PRIVATE = True
    oidc._of.cache_clear()


@pytest.fixture
def lying() -> Iterator[Liar]:
    with liar() as provider:
        yield provider


@pytest.fixture(params=SERVERS)
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    accounts = {"ada": {"email": f"ada-{uuid4().hex[:8]}@example.com"}, "eve": {"email": "eve@example.com"}}
    if request.param == "ours":
        with liar() as ours:
            ours.accounts |= accounts
            yield ours
    else:
        with certified(CALLBACK, accounts) as theirs:
            yield theirs


class Place:
    """Organization a with a provider, and a browser."""

    def __init__(self, org: OrganizationContext, provider: Provider, **more: Any) -> None:
        self.org, self.provider = org, provider
        self.owner = access.member(org)
        self.admin = access.signed_in(client_of(org), self.owner.token)
        body = {"name": "Work", "issuer": provider.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        answer = self.admin.post("/v1/identity-providers", {**body, **more})
        assert answer.status_code == 201, answer.content
        self.id = answer.json()["id"]

    def invite(self, email: str) -> None:
        answer = self.admin.post("/v1/members", {"email": email, "role": "analyst"})
        assert answer.status_code == 201, answer.content

    def begin(self, browser: APIClient, path: str = "/v1/sessions/federated") -> dict[str, Any]:
        answer = browser.post(path, {"provider": self.id})
        assert answer.status_code == 200, answer.content
        return dict(answer.json())

    def answer(self, account: str, browser: APIClient | None = None) -> Any:
        browser = browser or client_of(self.org)
        told = self.provider.authorize(self.begin(browser)["authorization_url"], account=account)
        return browser.post("/v1/sessions/federated/answer", told)

    def link(self, account: str, browser: APIClient) -> Any:
        told = self.provider.authorize(
            self.begin(browser, "/v1/linked-identities/begin")["authorization_url"], account=account
        )
        return browser.post("/v1/linked-identities", told)


@pytest.fixture
def place(org_a: OrganizationContext, provider: Provider) -> Place:
    return Place(org_a, provider)


@pytest.fixture
def lied(org_a: OrganizationContext, lying: Liar) -> Place:
    """A place whose provider lies; ada is invited."""
    lying.accounts["ada"] = {"email": f"ada-{uuid4().hex[:8]}@example.com"}
    found = Place(org_a, lying)
    found.invite(lying.accounts["ada"]["email"])
    return found


class TestSigningIn:
    def test_an_invited_person_joins_and_comes_back(self, place: Place) -> None:
        place.invite(place.provider.accounts["ada"]["email"].upper())
        first = place.answer("ada")
        assert first.status_code == 201, first.content
        assert first.json()["methods"] == ["fed"]
        me = access.signed_in(client_of(place.org), first.json()["token"])
        assert me.get("/v1/me").json()["id"] == first.json()["user_id"]
        assert me.get("/v1/payments").status_code == 200
        (link,) = me.get("/v1/linked-identities").json()["data"]
        assert link["provider"] == place.id

        again = place.answer("ada")

        assert again.json()["user_id"] == first.json()["user_id"]
        with organization(place.org):
            actions = list(Entry.objects.values_list("action", flat=True))
            assert actions.count("identity.linked") == 1
            assert LinkedIdentity.objects.count() == 1

    def test_a_stranger_is_nobody(self, place: Place) -> None:
        answer = place.answer("eve")
        assert (answer.status_code, answer.json()["code"]) == (403, "identity_not_linked")

    def test_an_account_in_use_is_not_found_by_its_address(self, org_a: OrganizationContext, lying: Liar) -> None:
        place = Place(org_a, lying)
        lying.accounts["eve"] = {"email": place.owner.email}
        assert place.answer("eve").json()["code"] == "identity_not_linked"

        linked = place.link("eve", place.admin)
        assert linked.status_code == 200, linked.content
        answer = place.answer("eve")
        assert answer.json()["user_id"] == place.owner.principal.public_id

    def test_what_is_read_is_shown_on_the_page(self, place: Place) -> None:
        buttons = client_of(place.org).get("/v1/sessions/federated").json()["data"]
        assert buttons == [{"id": place.id, "name": "Work"}]
        assert CLIENT_SECRET not in str(place.admin.get(f"/v1/identity-providers/{place.id}").content)
        with organization(place.org):
            sealed = bytes(IdentityProvider.objects.get().sealed_client_secret)
        assert CLIENT_SECRET.encode() not in sealed

    def test_a_second_factor_there_counts_where_it_is_trusted(self, org_a: OrganizationContext, lying: Liar) -> None:
        place = Place(org_a, lying, trusts_mfa=True)
        lying.accounts["ada"] = {"email": "ada@example.com"}
        place.invite("ada@example.com")
        with organization(org_a):
            SignInPolicy.objects.create(mfa_required=True)
        body = place.answer("ada").json()
        assert body["methods"] == ["fed", "mfa"]
        me = access.signed_in(client_of(org_a), body["token"])
        assert me.get("/v1/payments").status_code == 200
        # One factor, whichever it was, is no second one.
        for alone in (["pwd"], ["otp"], ["swk", "hwk"], "mfa", []):
            lying.claims["amr"] = alone
            me = access.signed_in(client_of(org_a), place.answer("ada").json()["token"])
            assert me.get("/v1/payments").json()["code"] == "second_factor_required", alone
        lying.claims["amr"] = ["pwd", "otp"]
        me = access.signed_in(client_of(org_a), place.answer("ada").json()["token"])
        assert me.get("/v1/payments").status_code == 200

    def test_a_removed_provider_lets_nobody_in(self, place: Place) -> None:
        browser = client_of(place.org)
        told = place.provider.authorize(place.begin(browser)["authorization_url"], account="ada")
        assert place.admin.delete(f"/v1/identity-providers/{place.id}").status_code == 204
        assert browser.post("/v1/sessions/federated/answer", told).status_code == 404
        assert browser.post("/v1/sessions/federated", {"provider": place.id}).status_code == 404


class TestLies:
    @pytest.mark.parametrize(
        "claims",
        [
            {"iss": "http://127.0.0.1:1"},
            {"aud": "another client"},
            {"aud": [CLIENT_ID, "another client"]},
            {"azp": "another client"},
            {"nonce": "another nonce"},
            {"nonce": None},
            {"exp": int(time.time()) - 120},
            {"exp": None},
            {"iat": int(time.time()) + 3600},
            {"iat": int(time.time()) - 3600},
            {"sub": ""},
            {"sub": 7},
            {"sub": "x" * 256},
        ],
    )
    def test_a_token_that_is_not_for_us_now(self, lied: Place, lying: Liar, claims: dict[str, Any]) -> None:
        lying.claims |= claims
        assert lied.answer("ada").json()["code"] == "federation_refused"
        lying.claims.clear()
        assert lied.answer("ada").status_code == 201

    @pytest.mark.parametrize("how", ["none", "public key", "client secret", "another key"])
    def test_a_token_that_the_provider_did_not_sign(self, lied: Place, lying: Liar, how: str) -> None:
        lying.signs_with = how
        assert lied.answer("ada").json()["code"] == "federation_refused"

    @pytest.mark.parametrize("header", [{"kid": "../../jwks"}, {"jku": "http://127.0.0.1:1/jwks"}, {"alg": "RS256"}])
    def test_a_header_decides_nothing(self, lied: Place, lying: Liar, header: dict[str, Any]) -> None:
        lying.header |= header
        if "alg" in header:
            lying.signs_with = "none"
        elif "jku" in header:
            lying.signs_with = "another key"
        assert lied.answer("ada").json()["code"] == "federation_refused"

    def test_a_key_that_was_rotated_is_fetched_anew(
        self, lied: Place, lying: Liar, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert lied.answer("ada").status_code == 201
        lying.rotate()
        monkeypatch.setattr(oidc, "_REFETCH_S", 0.0)
        assert lied.answer("ada").status_code == 201

    @pytest.mark.parametrize("said", ["true", "false", 1, None, False])
    def test_an_address_that_was_not_verified_joins_nobody(self, lied: Place, lying: Liar, said: Any) -> None:
        lying.claims["email_verified"] = said
        assert lied.answer("ada").json()["code"] == "identity_not_linked"

    @pytest.mark.parametrize("callback", [{"iss": "http://127.0.0.1:1"}, {"iss": None}])
    def test_another_providers_answer(self, lied: Place, lying: Liar, callback: dict[str, Any]) -> None:
        lying.callback |= callback
        assert lied.answer("ada").json()["code"] == "federation_refused"

    @pytest.mark.parametrize(
        "discovery",
        [{"issuer": "http://127.0.0.1:1"}, {"token_endpoint": "file:///etc/passwd"}, {"jwks_uri": None}],
    )
    def test_a_discovery_that_is_not_the_provider_s(self, lied: Place, lying: Liar, discovery: dict[str, Any]) -> None:
        lying.discovery |= discovery
        answer = client_of(lied.org).post("/v1/sessions/federated", {"provider": lied.id})
        assert (answer.status_code, answer.json()["code"]) == (503, "identity_provider_unavailable")

    def test_the_inside_of_the_house_is_not_asked(self, lied: Place, lying: Liar, settings: Any) -> None:
        settings.IDENTITY_PROVIDER_ALLOW_PRIVATE = False
        lying.asked.clear()
        answer = client_of(lied.org).post("/v1/sessions/federated", {"provider": lied.id})
        assert answer.status_code == 503
        assert lying.asked == []


class TestState:
    def _told(self, place: Place, browser: APIClient) -> dict[str, str]:
        return place.provider.authorize(place.begin(browser)["authorization_url"], account="ada")

    def _post(self, browser: APIClient, told: dict[str, str]) -> str:
        return str(browser.post("/v1/sessions/federated/answer", told).json().get("code", ""))

    def test_is_good_once_in_one_browser(self, lied: Place) -> None:
        browser, other = client_of(lied.org), client_of(lied.org)
        told = self._told(lied, browser)
        assert self._post(other, told) == "sign_in_expired"
        assert self._post(browser, told) == ""
        assert self._post(browser, told) == "sign_in_expired"

    def test_is_over_after_ten_minutes_and_nothing_when_made_up(self, lied: Place) -> None:
        browser = client_of(lied.org)
        told = self._told(lied, browser)
        assert self._post(browser, {**told, "state": "kcy_" + "a" * 43}) == "sign_in_expired"
        with organization(lied.org):
            Ceremony.objects.update(expires_at=utc_now())
        assert self._post(browser, told) == "sign_in_expired"

    def test_a_code_of_another_sign_in_is_refused(self, lied: Place) -> None:
        mine, theirs = client_of(lied.org), client_of(lied.org)
        stolen, told = self._told(lied, theirs)["code"], self._told(lied, mine)
        assert self._post(mine, {**told, "code": stolen}) == "federation_refused"

    def test_one_that_links_signs_nobody_in_and_the_other_way_round(self, lied: Place) -> None:
        begun = lied.begin(lied.admin, "/v1/linked-identities/begin")
        told = lied.provider.authorize(begun["authorization_url"], account="ada")
        assert self._post(lied.admin, told) == "sign_in_expired"
        told = self._told(lied, lied.admin)
        assert lied.admin.post("/v1/linked-identities", told).json()["code"] == "sign_in_expired"

    def test_another_organization_knows_nothing_of_it(self, lied: Place, org_b: OrganizationContext) -> None:
        browser = client_of(lied.org)
        told = self._told(lied, browser)
        elsewhere = client_of(org_b)
        elsewhere.cookies["__Host-keystead-federation"] = browser.cookies["__Host-keystead-federation"].value
        assert self._post(elsewhere, told) == "sign_in_expired"
        assert elsewhere.post("/v1/sessions/federated", {"provider": lied.id}).status_code == 404


class TestLinks:
    def test_asks_who_it_is_and_takes_an_identity_once(self, lied: Place, lying: Liar) -> None:
        lying.accounts["eve"] = {"email": "eve@example.com"}
        bob = access.signed_in(client_of(lied.org), access.member_token(lied.org, None))
        assert lied.link("eve", lied.admin).status_code == 200
        taken = lied.link("eve", bob)
        assert (taken.status_code, taken.json()["code"]) == (409, "identity_linked_elsewhere")
        with organization(lied.org):
            Session.objects.update(authenticated_at=utc_now() - second_factors.FRESH - timedelta(seconds=1))
        stale = bob.post("/v1/linked-identities/begin", {"provider": lied.id})
        assert stale.json()["code"] == "step_up_required"

    def test_the_last_way_in_stays(self, lied: Place) -> None:
        body = lied.answer("ada").json()
        ada = access.signed_in(client_of(lied.org), body["token"])
        (link,) = ada.get("/v1/linked-identities").json()["data"]
        path = f"/v1/linked-identities/{link['id']}"
        assert lied.admin.delete(path).status_code == 404
        assert ada.delete(path).json()["code"] == "last_way_in"
        assert ada.put("/v1/password", {"password": "another battery staple altogether"}).status_code == 204
        assert ada.delete(path).status_code == 204
        assert lied.answer("ada").json()["code"] == "identity_not_linked"

    def test_only_an_owner_who_shows_it_again_adds_providers(self, lied: Place) -> None:
        body = {"name": "X", "issuer": "https://idp.example", "client_id": "x"}
        for role in ("admin", "auditor"):
            other = access.signed_in(client_of(lied.org), access.member_token(lied.org, role))
            assert other.post("/v1/identity-providers", body).status_code == 403
            assert other.get("/v1/identity-providers").status_code == 200
        app = access.signed_in(client_of(lied.org), access.app_token(lied.org))
        assert app.post("/v1/identity-providers", body).status_code == 403
        for issuer in ("idp.example", "ftp://idp.example", "https://idp.example?x=1", "https://u:p@idp.example"):
            refused = lied.admin.post("/v1/identity-providers", {**body, "issuer": issuer})
            assert refused.json()["errors"][0]["field"] == "issuer"
        with organization(lied.org):
            Session.objects.update(authenticated_at=utc_now() - second_factors.FRESH - timedelta(seconds=1))
        assert lied.admin.post("/v1/identity-providers", body).json()["code"] == "step_up_required"

    @pytest.mark.parametrize("path", ["identity-providers", "linked-identities", "sessions/federated"])
    def test_a_page_costs_the_same_however_long_it_is(
        self, lied: Place, path: str, known_host: None, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(3):
            body = {"name": f"{number}", "issuer": "https://idp.example", "client_id": "x"}
            assert lied.admin.post("/v1/identity-providers", body).status_code == 201
        with django_assert_max_num_queries(5):
            assert lied.admin.get(f"/v1/{path}").status_code == 200
