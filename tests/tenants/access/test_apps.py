"""Registering apps that act for members, and apps that sign instead of keeping a secret."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from engine.clock import utc_now
from engine.tenancy.context import OrganizationContext, organization
from tenants.access import assertions, services
from tenants.access.models import UsedAssertion
from tests.conftest import client_of
from tests.factories import access as factory
from tests.factories import oauth
from tests.factories.oauth import MemberApp

CODE = "authorization_code"
PUBLIC = ECKey.generate_key("P-256").as_dict(private=False)


@pytest.fixture
def owner(org_a: OrganizationContext) -> Any:
    return factory.signed_in(client_of(org_a), factory.member_token(org_a, "owner"))


@pytest.fixture
def send(org_a: OrganizationContext) -> oauth.Send:
    return oauth.over_django(org_a)


@pytest.fixture
def signer(org_a: OrganizationContext) -> MemberApp:
    """An app that signs, and may act by itself."""
    return oauth.member_app(org_a, auth_method="private_key_jwt", grant_types=("client_credentials",))


def _ask(send: oauth.Send, assertion: str, **form: str) -> tuple[int, str]:
    shown = {"client_assertion_type": oauth.ASSERTION_TYPE, "client_assertion": assertion, **form}
    answer = send("POST", "/oauth/token", {"grant_type": "client_credentials", **shown})
    return answer.status, answer.body.get("error", "")


class TestRegistration:
    def test_says_everything_and_no_secret(self, owner: Any) -> None:
        wanted = {
            "name": "Dashboard",
            "grant_types": [CODE, oauth.DEVICE_GRANT],
            "redirect_uris": [oauth.CALLBACK, "http://127.0.0.1:8000/callback"],
            "delegated_scopes": ["sites.read"],
        }
        made = owner.post("/v1/apps", wanted)
        assert made.status_code == 201
        assert made.json()["client_secret"].startswith("kcs_")

        shown = owner.get(f"/v1/apps/{made.json()['id']}").json()

        assert {name: shown[name] for name in wanted} == wanted
        assert (shown["auth_method"], shown["jwks"]) == ("client_secret", [])
        assert "client_secret" not in shown

    def test_without_a_secret_there_is_none_to_rotate(self, owner: Any) -> None:
        body = {"name": "Phone", "grant_types": [CODE], "redirect_uris": ["com.example.app:/callback"]}
        made = owner.post("/v1/apps", {**body, "auth_method": "none"}).json()

        assert made["client_secret"] == ""
        answer = owner.post(f"/v1/apps/{made['id']}/rotate-secret")
        assert (answer.status_code, answer.json()["code"]) == (409, "app_has_no_secret")

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"grant_types": []}, "grant_types"),
            ({"grant_types": ["password"]}, "grant_types.0"),
            ({"grant_types": ["refresh_token"]}, "grant_types.0"),
            ({"grant_types": ["client_credentials"]}, "redirect_uris"),
            ({"redirect_uris": []}, "redirect_uris"),
            ({"auth_method": "none", "grant_types": [CODE, "client_credentials"]}, "grant_types"),
            ({"auth_method": "client_secret_jwt"}, "auth_method"),
            ({"auth_method": "private_key_jwt"}, "jwks"),
            ({"jwks": [PUBLIC]}, "jwks"),
            ({"delegated_scopes": ["people.fly"]}, "delegated_scopes.0"),
            ({"delegated_scopes": ["checkout.create"]}, "delegated_scopes.0"),
            *(
                ({"redirect_uris": [oauth.CALLBACK, uri]}, "redirect_uris.1")
                for uri in (
                    "http://app.example/callback",
                    "http://127.0.0.1.evil.example/",
                    "https://app.example/#fragment",
                    "https://user:password@app.example/",
                    "https://*.app.example/",
                    "https://app.example/a b",
                    "https://app.example/é",
                    "https:///callback",
                    "https://[::1",
                    "https://app.example:port/",
                    "https://app.example;evil.example/ 'unsafe-inline'",
                    "javascript:alert(1)",
                    "data:text/html,x",
                    "com.example.app:/callback",
                    "//app.example/",
                    "/callback",
                )
            ),
        ],
    )
    def test_names_the_field_at_fault(self, change: dict[str, Any], field: str, owner: Any) -> None:
        body = {"name": "x", "grant_types": [CODE], "redirect_uris": [oauth.CALLBACK], **change}
        answer = owner.post("/v1/apps", body)

        assert answer.status_code == 400, answer.json()
        assert [one["field"] for one in answer.json()["errors"]] == [field]

    @pytest.mark.parametrize(
        "key",
        [
            {},
            OctKey.generate_key(256).as_dict(),
            ECKey.generate_key("P-256").as_dict(private=True),
            ECKey.generate_key("P-384").as_dict(private=False),
            OKPKey.generate_key("X25519").as_dict(private=False),
            RSAKey.generate_key(1024).as_dict(private=False),
            {**PUBLIC, "x": "AA"},
            {**PUBLIC, "y": 1},
            {**PUBLIC, "use": "enc"},
            {**PUBLIC, "alg": "none"},
            {**PUBLIC, "alg": "HS256"},
            {**PUBLIC, "alg": "RS256"},
            {**PUBLIC, "kid": ""},
            {**PUBLIC, "kid": {"a": 1}},
            {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
            {"kty": ["EC"]},
        ],
        ids=lambda key: f"{key.get('kty')} {key.get('crv', '')} {key.get('alg', '')}",
    )
    @pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
    def test_takes_public_keys_that_sign_and_no_others(self, key: dict[str, Any], owner: Any) -> None:
        answer = owner.post("/v1/apps", {"name": "x", "auth_method": "private_key_jwt", "jwks": [key]})

        assert answer.status_code == 400, answer.json()
        assert answer.json()["errors"][0]["field"].startswith("jwks.0")
        for secret in ("d", "k"):
            assert str(key.get(secret, "\0")) not in answer.content.decode()

    def test_nobody_registers_more_than_they_hold(self, org_a: OrganizationContext, owner: Any) -> None:
        admin = factory.signed_in(client_of(org_a), factory.member_token(org_a, "admin"))
        body = {"name": "x", "grant_types": [CODE], "redirect_uris": [oauth.CALLBACK]}
        refused = admin.post("/v1/apps", {**body, "delegated_scopes": ["sites.read", "payments.write"]})
        assert (refused.status_code, refused.json()["missing"]) == (403, ["payments.write"])

        # Nor do they turn an app of somebody mightier into their own.
        mighty = owner.post("/v1/apps", {**body, "roles": ["operator"], "delegated_scopes": ["payments.write"]}).json()
        path = f"/v1/apps/{mighty['id']}"
        tag = {"If-Match": admin.get(path)["ETag"]}
        stolen = admin.patch(path, {"redirect_uris": ["https://evil.example/"]}, headers=tag)
        assert (stolen.status_code, stolen.json()["code"]) == (403, "cannot_grant_more")
        assert owner.patch(path, {"redirect_uris": ["https://new.example/"]}).status_code == 428
        changed = owner.patch(path, {"redirect_uris": ["https://new.example/"]}, headers=tag)
        assert changed.json()["redirect_uris"] == ["https://new.example/"]
        assert changed.json()["delegated_scopes"] == ["payments.write"]
        assert owner.patch(path, {"name": "y"}, headers=tag).status_code == 412


class TestAssertions:
    @pytest.mark.parametrize(
        ("key", "algorithm"),
        [
            (ECKey.generate_key("P-256"), "ES256"),
            (RSAKey.generate_key(2048), "RS256"),
            (OKPKey.generate_key("Ed25519"), "EdDSA"),
            (OKPKey.generate_key("Ed25519"), "Ed25519"),
        ],
        ids=["ES256", "RS256", "EdDSA", "Ed25519"],
    )
    @pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
    def test_of_a_registered_key_stand_in_for_a_secret(
        self, key: Any, algorithm: str, owner: Any, org_a: OrganizationContext, send: oauth.Send
    ) -> None:
        with organization(org_a):
            services.ensure_signing_key()
        body = {"name": "x", "auth_method": "private_key_jwt", "jwks": [PUBLIC, key.as_dict(private=False)]}
        made = owner.post("/v1/apps", body).json()
        app = MemberApp(client_id=made["id"], key=key, issuer=org_a.issuer)
        kid = made["jwks"][1]["kid"]

        for audience in (org_a.issuer, f"{org_a.issuer}/oauth/token", [org_a.issuer]):
            assert _ask(send, app.assertion(header={"alg": algorithm, "kid": kid}, aud=audience)) == (200, "")
        assert _ask(send, app.assertion(header={"alg": algorithm}), client_id=app.client_id) == (200, "")

    def test_are_good_once(self, signer: MemberApp, send: oauth.Send, org_a: OrganizationContext) -> None:
        assertion = signer.assertion()

        assert _ask(send, assertion) == (200, "")
        assert _ask(send, assertion) == (401, "invalid_client")
        # Also when what they came with was refused.
        another = signer.assertion()
        assert _ask(send, another, scope="people.fly") == (400, "invalid_scope")
        assert _ask(send, another) == (401, "invalid_client")
        with organization(org_a):
            from tenants.audit.models import Entry

            assert Entry.objects.filter(action="app.assertion_replayed").count() == 2

    def test_are_remembered_no_longer_than_they_hold(
        self, signer: MemberApp, send: oauth.Send, org_a: OrganizationContext
    ) -> None:
        _ask(send, signer.assertion())
        with time_machine.travel(utc_now() + timedelta(minutes=5)):
            _ask(send, signer.assertion())
        with organization(org_a):
            assert UsedAssertion.objects.count() == 1

    def test_another_app_s_secret_or_key_does_not_do(
        self, signer: MemberApp, send: oauth.Send, org_a: OrganizationContext
    ) -> None:
        with_secret = factory.app(org_a, "admin")
        other = oauth.member_app(org_a, name="Other", auth_method="private_key_jwt")
        forged = {
            "a key at an app with a secret": (
                signer.assertion(iss=with_secret.client_id, sub=with_secret.client_id),
                {},
            ),
            "for another app": (signer.assertion(iss=other.client_id, sub=other.client_id), {}),
            "beside another name": (signer.assertion(), {"client_id": other.client_id}),
            "beside a secret": (signer.assertion(), {"client_secret": with_secret.secret}),
            "of another type": (signer.assertion(), {"client_assertion_type": "urn:x"}),
        }
        for name, (assertion, form) in forged.items():
            assert _ask(send, assertion, **form) == (401, "invalid_client"), name
        plain = {"grant_type": "client_credentials", "client_id": signer.client_id, "client_secret": ""}
        assert send("POST", "/oauth/token", plain).status == 401

    @pytest.mark.parametrize("forgery", sorted(oauth.BAD_ASSERTIONS))
    def test_forged_are_refused(self, forgery: str, signer: MemberApp, send: oauth.Send) -> None:
        assert _ask(send, oauth.BAD_ASSERTIONS[forgery](signer)) == (401, "invalid_client")

    def test_of_one_organization_are_nothing_at_another(self, signer: MemberApp, org_b: OrganizationContext) -> None:
        assert _ask(oauth.over_django(org_b), signer.assertion(aud=org_b.issuer)) == (401, "invalid_client")

    def test_a_suite_without_the_look_at_the_audience_would_notice(
        self, signer: MemberApp, send: oauth.Send, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each check is planted away in turn, and some forgery gets through."""
        planted: dict[str, Callable[[], Any]] = {
            "aud": lambda: monkeypatch.setattr(assertions, "_checked", _without_audience),
            "typ": lambda: monkeypatch.setattr(assertions, "TYPES", assertions.TYPES | {"at+jwt"}),
            "jti": lambda: monkeypatch.setattr(assertions, "_use_up", lambda *_, **__: None),
        }
        for name, plant in planted.items():
            with monkeypatch.context():
                plant()
                assert _gets_through(signer, send), name
            monkeypatch.undo()
            assert not _gets_through(signer, send)

    @hypothesis_settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        header=st.dictionaries(
            st.sampled_from(["alg", "kid", "typ", "crit", "jku", "jwk", "x5u", "b64"]),
            st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.text(max_size=4), max_size=2),
        ),
        claims=st.dictionaries(
            st.sampled_from(["iss", "sub", "aud", "exp", "iat", "nbf", "jti"]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers()),
            min_size=1,
        ),
    )
    def test_nothing_that_is_signed_is_our_fault(
        self, header: dict[str, Any], claims: dict[str, Any], signer: MemberApp, send: oauth.Send
    ) -> None:
        from joserfc import jws

        own = json.loads(_decoded(signer.assertion().split(".")[1]))
        parts = [json.dumps({"alg": "ES256", **header}), json.dumps({**own, **claims})]
        signed = ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
        signature = jws.JWSRegistry.algorithms["ES256"].sign(signed.encode(), signer.key)
        text = f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"

        status, _ = _ask(send, text)
        assert status in {200, 401}


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _without_audience(claims: Any, **_: Any) -> Any:
    return assertions._moment(claims["exp"], "exp")


def _gets_through(signer: MemberApp, send: oauth.Send) -> bool:
    replayed = signer.assertion()
    _ask(send, replayed)
    return any(
        _ask(send, assertion)[0] == 200
        for assertion in (
            oauth.BAD_ASSERTIONS["audience elsewhere"](signer),
            oauth.BAD_ASSERTIONS["typ of an access token"](signer),
            replayed,
        )
    )
