"""The organization as an authorization server: its token endpoint, its keys, and forged tokens."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
import time_machine
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import KeySet
from oauth2_provider.models import AccessToken
from rest_framework.test import APIClient

from engine.clock import utc_now
from engine.principals import SYSTEM
from engine.tenancy.context import OrganizationContext, organization
from tenants.access import services, signing
from tenants.access.models import SigningKey
from tests.conftest import client_of
from tests.factories import access as factory
from tests.factories import forgeries

FORM = "application/x-www-form-urlencoded"


def _ask(client: APIClient, form: dict[str, str], **headers: Any) -> Any:
    return client.post("/oauth/token", urlencode(form), content_type=FORM, **headers)


def _credentials(app: factory.App, **more: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": app.client_id,
        "client_secret": app.secret,
        **more,
    }


def _basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


@pytest.fixture
def app(org_a: OrganizationContext) -> factory.App:
    return factory.app(org_a, "admin")


class TestTokenEndpoint:
    def test_basic_and_post_both_authenticate(self, app: factory.App, http_a: APIClient) -> None:
        posted = _ask(http_a, _credentials(app))
        basic = _ask(
            http_a,
            {"grant_type": "client_credentials"},
            HTTP_AUTHORIZATION=_basic(app.client_id, app.secret),
        )

        for answer in (posted, basic):
            assert answer.status_code == 200
            assert answer["Cache-Control"] == "no-store"
            body = answer.json()
            assert (body["token_type"], body["expires_in"]) == ("Bearer", 600)
            assert "refresh_token" not in body
            assert factory.signed_in(http_a, body["access_token"]).get("/v1/members").status_code == 200

    def test_the_token_is_what_rfc_9068_says(
        self, app: factory.App, http_a: APIClient, org_a: OrganizationContext
    ) -> None:
        keys = KeySet.import_key_set(http_a.get("/.well-known/jwks.json").json())

        claims = jwt.decode(app.token, keys, ["ES256"]).claims

        header = json.loads(base64.urlsafe_b64decode(app.token.split(".")[0] + "=="))
        assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
        assert claims["iss"] == claims["aud"] == org_a.issuer
        assert claims["sub"] == claims["client_id"] == app.client_id
        assert claims["exp"] - claims["iat"] == 600
        assert claims["jti"]
        assert "people.read" in claims["scope"].split()
        assert "payments.write" not in claims["scope"].split()

    def test_scopes_narrow_and_never_widen(self, app: factory.App, http_a: APIClient) -> None:
        narrow = _ask(http_a, _credentials(app, scope="apps.read sites.read")).json()
        client = factory.signed_in(http_a, narrow["access_token"])

        assert narrow["scope"].split() == ["apps.read", "sites.read"]
        assert client.get("/v1/apps").status_code == 200
        refused = client.get("/v1/members")
        assert (refused.status_code, refused.json()["reason"]) == (403, "token_scope")
        for scope in ("payments.write", "people.fly", "apps.read payments.write"):
            wide = _ask(http_a, _credentials(app, scope=scope))
            assert (wide.status_code, wide.json()["error"]) == (400, "invalid_scope")

    def test_an_app_without_a_role_gets_a_token_for_nothing(
        self, org_a: OrganizationContext, http_a: APIClient
    ) -> None:
        client = factory.signed_in(http_a, factory.app_token(org_a, None))

        assert client.get("/v1/apps").status_code == 403

    def test_neither_the_secret_nor_the_token_is_stored(self, app: factory.App, in_org_a: OrganizationContext) -> None:
        from tenants.access.models import App

        stored = str(list(App.objects.values())) + str(list(AccessToken.objects.values()))

        assert app.secret not in stored
        assert app.token not in stored

    @pytest.mark.parametrize(
        ("form", "authorization", "expected"),
        [
            ({"grant_type": "password"}, "", (400, "unsupported_grant_type")),
            ({"grant_type": "refresh_token"}, "", (400, "invalid_request")),
            ({"grant_type": "refresh_token", "refresh_token": "krt_x"}, "", (400, "unauthorized_client")),
            ({"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}, "", (400, "unauthorized_client")),
            ({"grant_type": "authorization_code"}, "", (400, "invalid_request")),
            ({"grant_type": "authorization_code", "code": "kac_x"}, "", (400, "unauthorized_client")),
            ({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}, "", (400, "unsupported_grant_type")),
            ({"grant_type": ""}, "", (400, None)),
            ({"client_secret": "kcs_wrong"}, "", (401, "invalid_client")),
            ({"client_secret": ""}, "", (401, "invalid_client")),
            ({"client_id": "app_0000000000000000000000000f"}, "", (401, "invalid_client")),
            ({"client_id": "\x00"}, "", (400, "invalid_request")),
            ({"client_id": "https://evil.example/app.json"}, "", (401, "invalid_client")),
            ({"resource": "https://elsewhere.example"}, "", (400, "invalid_target")),
            ({"scope": "\x00"}, "", (400, "invalid_request")),
            ({"client_assertion": "a.b.c"}, "", (401, "invalid_client")),
            ({"client_secret": ""}, "Basic", (401, "invalid_client")),
            ({"client_secret": ""}, "Basic ====", (401, "invalid_client")),
            ({"client_secret": ""}, "Basic \u00e9\u00e9", (401, "invalid_client")),
            ({"client_secret": ""}, "Basic /w==", (401, "invalid_client")),
        ],
    )
    def test_says_what_is_wrong_as_rfc_6749_does(
        self,
        form: dict[str, str],
        authorization: str,
        expected: tuple[int, str | None],
        app: factory.App,
    ) -> None:
        headers = {"HTTP_AUTHORIZATION": authorization} if authorization else {}
        answer = _ask(app.client(), {**_credentials(app), **form}, **headers)

        status, error = expected
        assert answer.status_code == status
        assert answer["Content-Type"] == "application/json"
        assert error is None or answer.json()["error"] == error

    def test_credentials_in_the_query_are_refused(self, app: factory.App, http_a: APIClient) -> None:
        answer = http_a.post(f"/oauth/token?{urlencode(_credentials(app))}", "", content_type=FORM)

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")

    def test_a_json_body_is_not_a_form(self, app: factory.App, http_a: APIClient) -> None:
        answer = http_a.post("/oauth/token", _credentials(app), format="json")

        assert 400 <= answer.status_code < 500

    @hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(body=st.binary(max_size=200), header=st.text(alphabet=st.characters(codec="latin-1"), max_size=60))
    def test_nothing_that_arrives_is_our_fault(self, body: bytes, header: str, http_a: APIClient) -> None:
        answer = http_a.post(
            "/oauth/token",
            body,
            content_type=FORM,
            HTTP_AUTHORIZATION=header.replace("\r", " ").replace("\n", " "),
        )

        assert 400 <= answer.status_code < 500

    def test_expired_rows_go_when_the_next_token_is_made(
        self, app: factory.App, http_a: APIClient, org_a: OrganizationContext
    ) -> None:
        with organization(org_a):
            AccessToken.objects.update(expires=utc_now() - timedelta(seconds=1))

        _ask(http_a, _credentials(app))

        with organization(org_a):
            assert AccessToken.objects.filter(application__client_id=app.client_id).count() == 1


class TestDeath:
    def test_of_an_app_s_tokens_when_it_is_deactivated(
        self, app: factory.App, http_a: APIClient, org_a: OrganizationContext
    ) -> None:
        with organization(org_a):
            services.deactivate_app(app_id=app.principal.id, by=SYSTEM)

        assert _ask(http_a, _credentials(app)).json()["error"] == "invalid_client"
        _assert_refused(http_a, app.token)

    def test_of_a_secret_and_its_tokens_when_it_is_rotated(
        self, app: factory.App, http_a: APIClient, org_a: OrganizationContext
    ) -> None:
        with organization(org_a):
            fresh = services.rotate_secret(app_id=app.principal.id, by=SYSTEM)
        assert fresh.secret is not None

        _assert_refused(http_a, app.token)
        assert _ask(http_a, _credentials(app)).status_code == 401
        answer = _ask(http_a, {**_credentials(app), "client_secret": fresh.secret})
        assert factory.signed_in(http_a, answer.json()["access_token"]).get("/v1/apps").status_code == 200

    def test_of_what_a_role_allowed_when_the_role_is_taken_away(
        self, app: factory.App, http_a: APIClient, org_a: OrganizationContext
    ) -> None:
        from tenants.access import selectors

        with organization(org_a):
            for grant in selectors.grants_of(app.principal):
                services.revoke_grant(grant_id=grant.id, by=factory.member(org_a, "owner").principal)

        assert factory.signed_in(http_a, app.token).get("/v1/apps").json()["reason"] == "no_grant"

    def test_by_age(self, app: factory.App, org_a: OrganizationContext) -> None:
        later = utc_now() + signing.TOKEN_LIFETIME + 2 * signing.CLOCK_SKEW
        with organization(org_a):
            signing.read_access_token(app.token)
            with pytest.raises(signing.TokenInvalid):
                signing.read_access_token(app.token, clock=lambda: later)


class TestKeys:
    def test_a_rotation_cuts_nobody_off(self, app: factory.App, http_a: APIClient, org_a: OrganizationContext) -> None:
        with organization(org_a):
            fresh = services.rotate_signing_key()
            assert services.rotate_signing_key() == fresh

        # Whoever keeps our keys for as long as they may has the new one before it signs.
        keys = http_a.get("/.well-known/jwks.json")
        assert keys["Cache-Control"] == f"public, max-age={signing.KEYS_MAX_AGE.total_seconds():.0f}"
        assert keys.json()["keys"][0]["kid"] == fresh.kid
        assert len(keys.json()["keys"]) == 2
        assert fresh.signs_at - utc_now() > signing.KEYS_MAX_AGE
        assert forgeries.kid_of(_ask(http_a, _credentials(app)).json()["access_token"]) != fresh.kid
        with time_machine.travel(fresh.signs_at - timedelta(seconds=1)):
            last = _ask(http_a, _credentials(app)).json()["access_token"]
        with time_machine.travel(fresh.signs_at + timedelta(seconds=1)):
            token = _ask(http_a, _credentials(app)).json()["access_token"]
            assert forgeries.kid_of(last) != forgeries.kid_of(token) == fresh.kid
            for one in (last, token):
                assert factory.signed_in(http_a, one).get("/v1/apps").status_code == 200
            http_a.credentials()
        with time_machine.travel(fresh.signs_at + signing.LONGEST_TOKEN_LIFETIME + 2 * signing.CLOCK_SKEW):
            assert [key["kid"] for key in http_a.get("/.well-known/jwks.json").json()["keys"]] == [fresh.kid]

    def test_a_key_that_others_know_is_dead_at_once(
        self, app: factory.App, http_a: APIClient, org_a: OrganizationContext
    ) -> None:
        owner = factory.signed_in(client_of(org_a), factory.member_token(org_a, "owner"))
        waiting = owner.post("/v1/signing-keys", {}).json()

        fresh = owner.post("/v1/signing-keys", {"immediately": True})

        assert fresh.status_code == 201
        assert fresh.json()["kid"] != waiting["kid"]
        assert [key["kid"] for key in http_a.get("/.well-known/jwks.json").json()["keys"]] == [fresh.json()["kid"]]
        _assert_refused(http_a, app.token)
        token = _ask(http_a, _credentials(app)).json()["access_token"]
        assert factory.signed_in(http_a, token).get("/v1/apps").status_code == 200
        assert owner.get("/v1/signing-keys").json()["data"][0]["retired_at"] is None

    def test_only_public_halves_are_shown_and_the_private_ones_are_sealed(
        self, app: factory.App, http_a: APIClient, org_a: OrganizationContext
    ) -> None:
        for key in http_a.get("/.well-known/jwks.json").json()["keys"]:
            assert set(key) == {"kty", "crv", "x", "y", "use", "alg", "kid"}
        with organization(org_a):
            row = SigningKey.objects.latest("id")
        assert b'"d"' not in bytes(row.sealed_private_jwk)

    def test_ensuring_makes_one(self, in_org_a: OrganizationContext) -> None:
        assert services.ensure_signing_key() == services.ensure_signing_key()

    def test_discovery_promises_only_what_exists(
        self, app: factory.App, http_a: APIClient, org_a: OrganizationContext
    ) -> None:
        document = http_a.get("/.well-known/oauth-authorization-server").json()

        assert document["issuer"] == org_a.issuer
        assert http_a.get("/.well-known/openid-configuration").json() == document
        endpoints = {name: url for name, url in document.items() if name.endswith(("_endpoint", "_uri"))}
        assert len(endpoints) == 7
        for url in endpoints.values():
            assert url.startswith(f"{org_a.issuer}/")
            assert http_a.options(url.removeprefix(org_a.issuer)).status_code != 404
        assert "checkout.create" not in document["scopes_supported"]

    def test_the_issuer_never_comes_from_the_request(self, http_a: APIClient) -> None:
        answer = http_a.get("/.well-known/oauth-authorization-server", HTTP_X_FORWARDED_HOST="evil.example")

        assert "evil" not in answer.content.decode()


@pytest.mark.parametrize("forgery", sorted(forgeries.FORGERIES))
def test_a_forged_token_is_refused(
    forgery: str, app: factory.App, http_a: APIClient, org_a: OrganizationContext
) -> None:
    token = forgeries.FORGERIES[forgery](app, org_a)
    forgeries.register(token, app, org_a)

    _assert_refused(http_a, token)


def test_the_forgeries_differ_from_a_good_token_in_one_thing_only(
    app: factory.App, http_a: APIClient, org_a: OrganizationContext
) -> None:
    for token in (
        forgeries.resigned(app, org_a, claims={"jti": str(uuid4())}),
        forgeries.by_hand(app, org_a, header={}),
    ):
        forgeries.register(token, app, org_a)

        assert factory.signed_in(http_a, token).get("/v1/apps").status_code == 200


def test_a_good_signature_without_a_row_is_a_revoked_token(
    app: factory.App, http_a: APIClient, org_a: OrganizationContext
) -> None:
    _assert_refused(http_a, forgeries.resigned(app, org_a, claims={"jti": str(uuid4())}))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "....",
        "kst_" + "0" * 43,
        "kst_x",
        "e30.e30.",
        "eyJraWQiOjF9.e30.e30",
        "x" * 10_000,
        "\u00e9.a.b",
    ],
)
def test_garbage_is_refused(token: str, http_a: APIClient, in_org_a: OrganizationContext) -> None:
    _assert_refused(http_a, token, challenge=None if token == "" else "invalid_token")


def test_tokens_of_another_organization_mean_nothing(
    app: factory.App, org_a: OrganizationContext, org_b: OrganizationContext, http_b: APIClient
) -> None:
    factory.app(org_b)
    _assert_refused(http_b, app.token)
    _assert_refused(http_b, factory.member_token(org_a, "owner"))
    assert _ask(http_b, _credentials(app)).status_code == 401


def test_nobody_s_app_token_opens_the_platform(app: factory.App, settings: Any) -> None:
    platform = APIClient(HTTP_HOST=settings.PLATFORM_HOST, raise_request_exception=False)

    _assert_refused(platform, app.token, path="/v1/sessions")


@pytest.mark.usefixtures("known_host")
def test_authenticating_an_app_costs_two_queries(
    app: factory.App, http_a: APIClient, django_assert_num_queries: Any
) -> None:
    client = factory.signed_in(http_a, app.token)

    # Key, token with app, grants, rows.
    with django_assert_num_queries(4):
        client.get("/v1/apps")


def _assert_refused(
    client: APIClient, token: str, *, path: str = "/v1/apps", challenge: str | None = "invalid_token"
) -> None:
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}".encode().decode("latin-1"))
    answer = client.get(path)
    client.credentials()
    assert answer.status_code == 401, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"].startswith("Bearer")
    if challenge:
        assert challenge in answer["WWW-Authenticate"]
        assert answer.json()["code"] == challenge
