"""Apps that act for members: codes, consent, refreshing, the device grant, and what members can take back."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from joserfc import jwt
from joserfc.jwk import KeySet

from engine.clock import utc_now
from engine.principals import SYSTEM
from engine.tenancy.context import OrganizationContext, organization
from shared.accounts import derived
from shared.accounts.ceremonies import Purpose
from shared.accounts.models import Ceremony
from shared.accounts.rules import CEREMONY_PREFIX
from tenants.access import authorizations, device_grants, services
from tenants.access.models import Authorization, AuthorizationCode, DeviceAuthorization
from tests.conftest import client_of, visitor_of
from tests.factories import access as factory
from tests.factories import oauth
from tests.factories.oauth import Answer, Browser, MemberApp, returned

SCOPE = "openid profile email offline_access sites.read"
VERIFIER = "v" * 43


@pytest.fixture
def app(org_a: OrganizationContext) -> MemberApp:
    return oauth.member_app(org_a)


@pytest.fixture
def member(org_a: OrganizationContext) -> factory.Member:
    return factory.member(org_a, "admin", email="ada@example.com")


@pytest.fixture
def send(org_a: OrganizationContext) -> oauth.Send:
    return oauth.over_django(org_a)


@pytest.fixture
def browser(send: oauth.Send, member: factory.Member) -> Browser:
    return oauth.signed_in_browser(send, member)


def _get(org: OrganizationContext, token: str, path: str) -> Any:
    return factory.signed_in(client_of(org), token).get(path)


class TestCodeGrant:
    def test_an_app_acts_for_a_member_within_what_was_lent(
        self, app: MemberApp, browser: Browser, member: factory.Member, org_a: OrganizationContext
    ) -> None:
        tokens = app.tokens(browser, scope=SCOPE, nonce="once")

        me = _get(org_a, tokens["access_token"], "/v1/me").json()
        assert (me["id"], me["kind"]) == (member.principal.public_id, "member")
        assert "through Dashboard" in me["display"]
        assert _get(org_a, tokens["access_token"], "/v1/sites").status_code == 200
        # The member is an admin, and has lent this much and no more.
        refused = _get(org_a, tokens["access_token"], "/v1/members")
        assert (refused.status_code, refused.json()["reason"]) == (403, "token_scope")
        userinfo = _get(org_a, tokens["access_token"], "/oauth/userinfo").json()
        assert userinfo == {"sub": member.principal.public_id, "email": "ada@example.com"}

    def test_the_tokens_are_what_rfc_9068_and_openid_say(
        self, app: MemberApp, browser: Browser, member: factory.Member, org_a: OrganizationContext
    ) -> None:
        tokens = app.tokens(browser, scope=SCOPE, nonce="once")
        keys = KeySet.import_key_set(client_of(org_a).get("/.well-known/jwks.json").json())

        access = jwt.decode(tokens["access_token"], keys, ["ES256"])
        identity = jwt.decode(tokens["id_token"], keys, ["ES256"])

        assert access.header["typ"] == "at+jwt"
        assert access.claims["iss"] == access.claims["aud"] == org_a.issuer
        assert access.claims["sub"] == identity.claims["sub"] == member.principal.public_id
        assert access.claims["client_id"] == identity.claims["aud"] == app.client_id
        assert (identity.claims["iss"], identity.claims["nonce"]) == (org_a.issuer, "once")
        assert identity.claims["email"] == "ada@example.com"
        assert 0 <= utc_now().timestamp() - identity.claims["auth_time"] < 3600
        # An ID token is for the app, not for the API; nor is anything else of the answer.
        for other in (tokens["id_token"], tokens["refresh_token"]):
            assert _get(org_a, other, "/v1/me").status_code == 401

    def test_what_is_about_the_member_is_not_lent(
        self, app: MemberApp, browser: Browser, org_a: OrganizationContext
    ) -> None:
        tokens = app.tokens(browser, scope=SCOPE)

        for path in ("/v1/sessions", "/v1/authorizations"):
            refused = _get(org_a, tokens["access_token"], path)
            assert (refused.status_code, refused.json()["reason"]) == (403, "token_scope")

    def test_nobody_lends_what_they_do_not_hold(
        self, app: MemberApp, send: oauth.Send, org_a: OrganizationContext
    ) -> None:
        nobody = oauth.signed_in_browser(send, factory.member(org_a, None))

        assert app.tokens(nobody, scope="openid sites.read")["scope"] == "openid"
        path = app.asks(VERIFIER, scope="sites.read")
        assert returned(nobody.get(path))["error"] == "access_denied"

    def test_without_offline_access_there_is_no_refresh_token(self, app: MemberApp, browser: Browser) -> None:
        assert "refresh_token" not in app.tokens(browser, scope="openid")
        assert "id_token" not in app.tokens(browser, scope="sites.read")

    def test_a_yes_and_a_no_come_back_with_state_and_issuer(
        self, app: MemberApp, browser: Browser, org_a: OrganizationContext
    ) -> None:
        path = app.asks(VERIFIER)
        for decision, expected in (("allow", "code"), ("deny", "error")):
            told = returned(browser.submit(path, browser.get(path), {"decision": decision}))
            assert (told["state"], told["iss"]) == ("some state", org_a.issuer)
            assert expected in told

    def test_the_page_is_safe(self, org_a: OrganizationContext, browser: Browser) -> None:
        app = oauth.member_app(org_a, name="<script>alert(1)</script>")
        page = browser.get(app.asks(VERIFIER))

        assert page.status == 200
        assert "<script" not in page.text
        assert "app.example" in page.text
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert policy.endswith("form-action 'self' https://app.example")
        assert "unsafe" not in policy
        assert (page.headers["Cache-Control"], page.headers["Referrer-Policy"]) == ("no-store", "no-referrer")

    def test_a_forged_yes_is_worth_nothing(self, app: MemberApp, browser: Browser, org_a: OrganizationContext) -> None:
        path = app.asks(VERIFIER)
        proof = oauth.proof_of(browser.get(path))
        other = oauth.member_app(org_a, name="Another")
        stranger = oauth.signed_in_browser(browser.send, factory.member(org_a, "owner"))
        yes = {"decision": "allow"}
        forged: dict[str, Callable[[], Answer]] = {
            "without a proof": lambda: browser.post(path, yes),
            "with a made-up proof": lambda: browser.post(path, {**yes, "proof": "0" * 64}),
            "about more": lambda: browser.post(
                app.asks(VERIFIER, scope=SCOPE + " devices.read"), {**yes, "proof": proof}
            ),
            "to another app": lambda: browser.post(other.asks(VERIFIER), {**yes, "proof": proof}),
            "of another member": lambda: stranger.post(path, {**yes, "proof": proof}),
            "from another site": lambda: browser.post(path, {**yes, "proof": proof}, Origin="https://evil.example"),
            "across sites": lambda: browser.post(path, {**yes, "proof": proof}, **{"Sec-Fetch-Site": "cross-site"}),
            "by nobody": lambda: Browser(browser.send).post(path, {**yes, "proof": proof}),
        }

        for name, attempt in forged.items():
            assert "code=" not in attempt().headers.get("Location", ""), name
        assert returned(browser.post(path, {**yes, "proof": proof}))["code"]

    @pytest.mark.parametrize(
        "change",
        [
            {"client_id": ""},
            {"client_id": "app_0000000000000000000000000f"},
            {"client_id": "\x00"},
            {"redirect_uri": "https://evil.example/"},
            {"redirect_uri": oauth.CALLBACK + "/"},
            {"redirect_uri": oauth.CALLBACK + "?a=b"},
            {"redirect_uri": oauth.CALLBACK.replace("https", "http")},
            {"redirect_uri": oauth.CALLBACK.upper()},
            {"redirect_uri": "https://app.example:443/callback"},
            {"redirect_uri": "https://app.example/x/../callback"},
            {"redirect_uri": "https://user@app.example/callback"},
            {"redirect_uri": "javascript:alert(1)"},
            {"redirect_uri": "\\\\evil.example"},
            {"state": "x" * 3000},
        ],
    )
    def test_where_an_answer_could_go_astray_none_is_sent(
        self, change: dict[str, str], app: MemberApp, browser: Browser
    ) -> None:
        answer = browser.get(app.asks(VERIFIER, **change))

        assert answer.status == 400
        assert "Location" not in answer.headers

    def test_a_parameter_twice_is_not_a_choice(self, app: MemberApp, browser: Browser) -> None:
        assert browser.get(app.asks(VERIFIER) + "&redirect_uri=https%3A%2F%2Fevil.example").status == 400

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"response_type": "code token"}, "unauthorized_client"),
            ({"response_type": "none"}, "unauthorized_client"),
            ({"response_type": ""}, "invalid_request"),
            ({"code_challenge": ""}, "invalid_request"),
            ({"code_challenge_method": "plain"}, "invalid_request"),
            ({"code_challenge_method": ""}, "invalid_request"),
            ({"code_challenge": "short"}, "invalid_request"),
            ({"scope": ""}, "invalid_scope"),
            ({"scope": "openid people.fly"}, "invalid_scope"),
            ({"scope": "openid payments.write"}, "invalid_scope"),
            ({"scope": "openid checkout.create"}, "invalid_scope"),
            ({"response_mode": "fragment"}, "invalid_request"),
            ({"prompt": "none login"}, "invalid_request"),
            ({"prompt": "none"}, "consent_required"),
            ({"max_age": "-1"}, "invalid_request"),
            ({"nonce": "x" * 300}, "invalid_request"),
            ({"request": "a.b.c"}, "request_not_supported"),
            ({"request_uri": "https://evil.example/r"}, "request_uri_not_supported"),
            ({"resource": "https://elsewhere.example"}, "invalid_target"),
        ],
    )
    def test_the_app_is_told_what_is_wrong(
        self, change: dict[str, str], error: str, app: MemberApp, browser: Browser
    ) -> None:
        told = returned(browser.get(app.asks(VERIFIER, **change)))

        assert (told["error"], told["state"]) == (error, "some state")

    def test_who_is_not_signed_in_signs_in_and_goes_on(
        self, app: MemberApp, send: oauth.Send, member: factory.Member
    ) -> None:
        browser = Browser(send)
        asked = app.asks(VERIFIER)

        assert returned(browser.get(app.asks(VERIFIER, prompt="none")))["error"] == "login_required"
        page = browser.get(asked).headers["Location"]
        assert browser.sign_in(member.email, path=page, password="wrong").status == 401
        after = browser.sign_in(member.email, path=page)
        assert after.headers["Location"] == asked
        cookie = after.headers["Set-Cookie"]
        for wanted in ("__Host-", "Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
            assert wanted in cookie
        assert "Dashboard" in browser.get(asked).text

    def test_signing_in_anew_happens_when_it_is_asked_for(self, app: MemberApp, browser: Browser) -> None:
        assert browser.get(app.asks(VERIFIER, max_age="3600")).status == 200
        for change in ({"prompt": "login"}, {"max_age": "0"}):
            assert browser.get(app.asks(VERIFIER, **change)).headers["Location"].startswith("/oauth/sign-in?")
        page = browser.get(app.asks(VERIFIER, prompt="login")).headers["Location"]
        again = browser.sign_in("ada@example.com", path=page).headers["Location"]
        assert browser.get(again).status == 200

    @pytest.mark.parametrize("path", ["https://evil.example", "//evil.example", "/v1/me", "/oauth/\\evil", "/oauth/\r"])
    def test_signing_in_leads_nowhere_else(self, path: str, browser: Browser) -> None:
        from urllib.parse import quote

        answer = browser.sign_in("ada@example.com", path=f"/oauth/sign-in?next={quote(path)}")
        assert answer.headers["Location"] == "/oauth/device"


class TestCodes:
    def test_are_stored_as_a_hash(self, app: MemberApp, browser: Browser, org_a: OrganizationContext) -> None:
        code = app.code(browser, VERIFIER)
        tokens = app.tokens(browser)

        with organization(org_a):
            stored = str([list(model.objects.values()) for model in (AuthorizationCode, Authorization)])
        for secret in (code, tokens["refresh_token"], tokens["access_token"]):
            assert secret not in stored

    @pytest.mark.parametrize(
        ("form", "error"),
        [
            ({"code": "kac_" + "0" * 43}, "invalid_grant"),
            ({"code_verifier": "w" * 43}, "invalid_grant"),
            ({"code_verifier": "v" * 42}, "invalid_grant"),
            ({"redirect_uri": oauth.CALLBACK + "/"}, "invalid_request"),
            ({"resource": "https://elsewhere.example"}, "invalid_target"),
            ({"client_secret": "kcs_wrong"}, "invalid_client"),
        ],
    )
    def test_need_everything_that_they_were_asked_for_with(
        self, form: dict[str, str], error: str, app: MemberApp, browser: Browser
    ) -> None:
        sent = {"code": app.code(browser, VERIFIER), "verifier": VERIFIER, **form}
        if "code_verifier" in sent:
            sent["verifier"] = sent.pop("code_verifier")

        answer = app.redeem(browser.send, **sent)

        assert (answer.status, answer.body["error"]) == (401 if error == "invalid_client" else 400, error)

    def test_end_what_came_of_them_when_they_come_again(
        self, app: MemberApp, browser: Browser, org_a: OrganizationContext
    ) -> None:
        code = app.code(browser, VERIFIER)
        tokens = app.redeem(browser.send, code, VERIFIER).body
        assert _get(org_a, tokens["access_token"], "/v1/me").status_code == 200

        assert app.redeem(browser.send, code, VERIFIER).body["error"] == "invalid_grant"

        assert _get(org_a, tokens["access_token"], "/v1/me").status_code == 401
        assert app.refresh(browser.send, tokens["refresh_token"]).body["error"] == "invalid_grant"

    def test_are_good_for_a_minute_and_one_app(
        self, app: MemberApp, browser: Browser, org_a: OrganizationContext
    ) -> None:
        code = app.code(browser, VERIFIER)
        another = oauth.member_app(org_a, name="Another")
        assert another.redeem(browser.send, code, VERIFIER).body["error"] == "invalid_grant"
        with time_machine.travel(utc_now() + authorizations.CODE_LIFETIME):
            assert app.redeem(browser.send, code, VERIFIER).body["error"] == "invalid_grant"


class TestRefreshing:
    def test_gives_a_new_token_each_time_and_the_scopes_that_were_lent(
        self, app: MemberApp, browser: Browser, org_a: OrganizationContext
    ) -> None:
        first = app.tokens(browser, scope=SCOPE)

        second = app.refresh(browser.send, first["refresh_token"]).body
        third = app.refresh(browser.send, second["refresh_token"], scope="openid").body

        assert len({one["refresh_token"] for one in (first, second, third)}) == 3
        assert (second["scope"].split(), third["scope"]) == (SCOPE.split(), "openid")
        assert _get(org_a, second["access_token"], "/v1/sites").status_code == 200
        assert _get(org_a, third["access_token"], "/v1/sites").status_code == 403
        wide = app.refresh(browser.send, third["refresh_token"], scope="openid devices.read")
        assert wide.body["error"] == "invalid_scope"
        # What was refused has used nothing up.
        assert app.refresh(browser.send, third["refresh_token"]).status == 200

    def test_in_parallel_is_forgiven_and_told_the_same(self, app: MemberApp, browser: Browser) -> None:
        first = app.tokens(browser)

        answers = [app.refresh(browser.send, first["refresh_token"]) for _ in range(3)]

        assert [one.status for one in answers] == [200, 200, 200]
        assert len({one.body["refresh_token"] for one in answers}) == 1
        assert len({one.body["access_token"] for one in answers}) == 3

    @pytest.mark.parametrize("late", [True, False])
    def test_with_a_stale_token_ends_the_family(
        self, late: bool, app: MemberApp, browser: Browser, org_a: OrganizationContext
    ) -> None:
        first = app.tokens(browser)
        second = app.refresh(browser.send, first["refresh_token"]).body
        last = second if late else app.refresh(browser.send, second["refresh_token"]).body
        with time_machine.travel(utc_now() + (authorizations.REFRESH_GRACE * 2 if late else timedelta())):
            assert app.refresh(browser.send, first["refresh_token"]).body["error"] == "invalid_grant"

            assert app.refresh(browser.send, last["refresh_token"]).body["error"] == "invalid_grant"
            assert _get(org_a, last["access_token"], "/v1/me").status_code == 401
            owner = factory.signed_in(client_of(org_a), factory.member_token(org_a, "owner"))
            entries = owner.get("/v1/audit-entries").json()["data"]
        with organization(org_a):
            assert Authorization.objects.get().revoked_for == "reuse"
            from tenants.audit.models import Entry

            entry = Entry.objects.get(action="authorization.revoked")
        assert entry.detail == {"reason": "reuse"}
        assert entries is not None

    def test_is_for_the_app_and_the_family_alone(
        self, app: MemberApp, browser: Browser, org_a: OrganizationContext
    ) -> None:
        token = app.tokens(browser)["refresh_token"]
        other = app.tokens(browser)["refresh_token"]
        raw = base64.urlsafe_b64decode(token[4:] + "==")
        forged = [
            base64.urlsafe_b64encode(raw[:16] + number.to_bytes(4, "big") + mac).decode().rstrip("=")
            for number in (0, 1, 2**31)
            for mac in (secrets.token_bytes(32), base64.urlsafe_b64decode(other[4:] + "==")[20:])
        ]
        texts = [f"krt_{one}" for one in forged] + [token[:-1], token + "A", token.replace("krt_", "kst_"), "krt_", ""]

        for text in texts:
            assert app.refresh(browser.send, text).status == 400
        stranger = oauth.member_app(org_a, name="Another")
        assert stranger.refresh(browser.send, token).body["error"] == "invalid_grant"
        # None of that was the family's doing, and it lives.
        assert app.refresh(browser.send, token).status == 200

    def test_ends_by_age(self, app: MemberApp, browser: Browser) -> None:
        token = app.tokens(browser)["refresh_token"]
        begun = utc_now()
        for days in range(25, 90, 25):
            with time_machine.travel(begun + timedelta(days=days)):
                token = app.refresh(browser.send, token).body["refresh_token"]
        with time_machine.travel(begun + authorizations.LIFETIME + timedelta(seconds=1)):
            assert app.refresh(browser.send, token).body["error"] == "invalid_grant"

    def test_follows_what_the_app_may_still_ask_for(
        self, app: MemberApp, browser: Browser, org_a: OrganizationContext
    ) -> None:
        first = app.tokens(browser, scope=SCOPE)
        owner = factory.signed_in(client_of(org_a), factory.member_token(org_a, "owner"))
        current = owner.get(f"/v1/apps/{app.client_id}")
        changed = owner.patch(
            f"/v1/apps/{app.client_id}", {"delegated_scopes": []}, headers={"If-Match": current["ETag"]}
        )
        assert changed.status_code == 200

        assert "sites.read" not in app.refresh(browser.send, first["refresh_token"]).body["scope"]


class TestTheEnd:
    def test_members_see_and_end_what_they_allowed(
        self, app: MemberApp, browser: Browser, member: factory.Member, org_a: OrganizationContext
    ) -> None:
        tokens = app.tokens(browser, scope=SCOPE)
        client = factory.signed_in(client_of(org_a), member.token)
        (shown,) = client.get("/v1/authorizations").json()["data"]
        assert (shown["app_id"], shown["app_name"]) == (app.client_id, "Dashboard")
        stranger = factory.signed_in(client_of(org_a), factory.member_token(org_a, "owner"))
        assert stranger.delete(f"/v1/authorizations/{shown['id']}").status_code == 404

        assert client.delete(f"/v1/authorizations/{shown['id']}").status_code == 204

        assert client.get("/v1/authorizations").json()["data"] == []
        assert _get(org_a, tokens["access_token"], "/v1/me").status_code == 401
        assert app.refresh(browser.send, tokens["refresh_token"]).status == 400

    @pytest.mark.parametrize("how", ["member deactivated", "app deactivated", "restored from a backup"])
    def test_comes_with_whoever_it_was_for(
        self, how: str, app: MemberApp, browser: Browser, member: factory.Member, org_a: OrganizationContext
    ) -> None:
        tokens = app.tokens(browser)
        code = app.code(browser, VERIFIER)
        with organization(org_a):
            if how == "member deactivated":
                services.deactivate_member(member_id=member.principal.id, by=SYSTEM)
            elif how == "app deactivated":
                from engine import ids

                services.deactivate_app(app_id=ids.decode("app", app.client_id), by=SYSTEM)
            else:
                assert services.revoke_all_authorizations() == 1

        assert _get(org_a, tokens["access_token"], "/v1/me").status_code == 401
        assert app.refresh(browser.send, tokens["refresh_token"]).status in {400, 401}
        if how != "restored from a backup":
            assert app.redeem(browser.send, code, VERIFIER).status in {400, 401}

    def test_is_not_undone_by_a_new_invitation(
        self, app: MemberApp, browser: Browser, member: factory.Member, org_a: OrganizationContext
    ) -> None:
        tokens, code = app.tokens(browser, scope=SCOPE), app.code(browser, VERIFIER)
        with organization(org_a):
            services.deactivate_member(member_id=member.principal.id, by=SYSTEM)
            token = services.invite_member(email=member.email, by=SYSTEM, role="owner").token
        body = {"token": token, "password": "a much longer pass phrase"}
        assert visitor_of(org_a).post("/v1/invitations/accept", body).status_code == 200

        assert _get(org_a, tokens["access_token"], "/v1/me").status_code == 401
        assert app.refresh(browser.send, tokens["refresh_token"]).body["error"] == "invalid_grant"
        assert app.redeem(browser.send, code, VERIFIER).body["error"] == "invalid_grant"

    def test_comes_when_everybody_needs_a_second_factor(
        self, app: MemberApp, browser: Browser, org_a: OrganizationContext
    ) -> None:
        from shared.accounts.models import SignInPolicy

        tokens, code = app.tokens(browser), app.code(browser, VERIFIER)
        with organization(org_a):
            SignInPolicy.objects.update_or_create(id=1, defaults={"mfa_required": True, "updated_at": utc_now()})

        assert _get(org_a, tokens["access_token"], "/v1/me").status_code == 401
        assert app.refresh(browser.send, tokens["refresh_token"]).status == 400
        late = app.redeem(browser.send, code, VERIFIER).body
        assert _get(org_a, late["access_token"], "/v1/me").status_code == 401
        for path in (app.asks(VERIFIER), "/oauth/device"):
            assert browser.get(path).headers["Location"].startswith("/oauth/sign-in?")

    @pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
    def test_comes_by_revocation(self, kind: str, app: MemberApp, browser: Browser, org_a: OrganizationContext) -> None:
        tokens = app.tokens(browser)
        stranger = oauth.member_app(org_a, name="Another")

        def revoke(by: MemberApp, token: str) -> Answer:
            return browser.send("POST", "/oauth/revoke", {**by.credentials(), "token": token})

        def introspect(by: MemberApp, token: str) -> dict[str, Any]:
            return dict(browser.send("POST", "/oauth/introspect", {**by.credentials(), "token": token}).body)

        assert introspect(app, tokens[kind])["active"] is True
        assert introspect(app, tokens[kind])["client_id"] == app.client_id
        assert introspect(stranger, tokens[kind]) == {"active": False}
        assert revoke(stranger, tokens[kind]).status == 200
        assert introspect(app, tokens[kind])["active"] is True

        for token in (tokens[kind], tokens[kind], "nonsense", ""):
            assert revoke(app, token).status == 200
            assert introspect(app, token) == {"active": False}

        assert _get(org_a, tokens["access_token"], "/v1/me").status_code == 401
        survives = 200 if kind == "access_token" else 400
        assert app.refresh(browser.send, tokens["refresh_token"]).status == survives

    def test_introspection_of_others_needs_a_permission_and_a_name(
        self, app: MemberApp, browser: Browser, org_a: OrganizationContext
    ) -> None:
        token = app.tokens(browser)["access_token"]
        resource_server = factory.app(org_a, "auditor")
        shown = {"client_id": resource_server.client_id, "client_secret": resource_server.secret, "token": token}

        assert browser.send("POST", "/oauth/introspect", shown).body["active"] is True
        assert browser.send("POST", "/oauth/introspect", {"token": token}).status == 401
        public = oauth.member_app(org_a, name="On a phone", auth_method="none")
        assert browser.send("POST", "/oauth/introspect", {**public.credentials(), "token": token}).status == 401


def test_a_password_that_was_reset_ends_what_was_lent(
    app: MemberApp, browser: Browser, org_a: OrganizationContext, member: factory.Member
) -> None:
    tokens, code = app.tokens(browser, scope=SCOPE), app.code(browser, VERIFIER)
    assert _get(org_a, tokens["access_token"], "/v1/sites").status_code == 200
    anybody = visitor_of(org_a)
    with organization(org_a):
        assert anybody.post("/v1/password-resets", {"email": member.email}).status_code == 202
        wanted = Ceremony.objects.get(user_id=member.principal.id, purpose=Purpose.PASSWORD_RESET)
        token = derived.token(CEREMONY_PREFIX, wanted.id)
    body = {"token": token, "password": "a much longer pass phrase"}
    assert anybody.post("/v1/password-resets/confirm", body).status_code == 204
    assert _get(org_a, tokens["access_token"], "/v1/sites").status_code == 401
    assert app.refresh(browser.send, tokens["refresh_token"]).body["error"] == "invalid_grant"
    assert app.redeem(browser.send, code, VERIFIER).body["error"] == "invalid_grant"


class TestDeviceGrant:
    def _begin(self, app: MemberApp, send: oauth.Send, scope: str = SCOPE) -> dict[str, Any]:
        answer = send("POST", "/oauth/device_authorization", {**app.credentials(), "scope": scope})
        assert answer.status == 200, answer.text
        return dict(answer.body)

    def _poll(self, app: MemberApp, send: oauth.Send, begun: dict[str, Any]) -> Answer:
        return app.token(send, grant_type=oauth.DEVICE_GRANT, device_code=begun["device_code"])

    def _decide(self, browser: Browser, code: str, decision: str) -> Answer:
        page = browser.submit("/oauth/device", browser.get("/oauth/device"), {"user_code": code})
        return browser.submit("/oauth/device", page, {"user_code": code, "decision": decision})

    def test_gives_tokens_once_the_member_has_said_yes(
        self, app: MemberApp, browser: Browser, org_a: OrganizationContext
    ) -> None:
        begun = self._begin(app, browser.send)
        assert begun["verification_uri"] == f"{org_a.issuer}/oauth/device"
        assert self._poll(app, browser.send, begun).body["error"] == "authorization_pending"
        assert self._poll(app, browser.send, begun).body["error"] == "slow_down"

        page = self._decide(browser, begun["user_code"].lower().replace("-", " "), "allow")
        assert "Done" in page.text

        tokens = self._poll(app, browser.send, begun).body
        assert tokens["scope"].split() == SCOPE.split()
        assert _get(org_a, tokens["access_token"], "/v1/sites").status_code == 200
        assert app.refresh(browser.send, tokens["refresh_token"]).status == 200
        assert self._poll(app, browser.send, begun).body["error"] == "invalid_grant"
        with organization(org_a):
            stored = str(list(DeviceAuthorization.objects.values()))
        assert begun["device_code"] not in stored
        assert begun["user_code"].replace("-", "") not in stored

    def test_gives_nothing_after_a_no_or_too_late(self, app: MemberApp, browser: Browser) -> None:
        denied, late = self._begin(app, browser.send), self._begin(app, browser.send)
        self._decide(browser, denied["user_code"], "deny")

        assert self._poll(app, browser.send, denied).body["error"] == "access_denied"
        assert "not known" in self._decide_page(browser, denied["user_code"]).text
        with time_machine.travel(utc_now() + device_grants.LIFETIME):
            assert self._poll(app, browser.send, late).body["error"] == "expired_token"
            assert "not known" in self._decide_page(browser, late["user_code"]).text

    def test_is_not_guessed_nor_forged(self, app: MemberApp, browser: Browser, org_a: OrganizationContext) -> None:
        begun = self._begin(app, browser.send)
        page = browser.submit("/oauth/device", browser.get("/oauth/device"), {"user_code": begun["user_code"]})
        stranger = oauth.signed_in_browser(browser.send, factory.member(org_a, "owner"))
        yes = {"user_code": begun["user_code"], "decision": "allow", "proof": oauth.proof_of(page)}
        assert stranger.post("/oauth/device", yes).status == 403
        assert browser.post("/oauth/device", {**yes, "proof": "0" * 64}).status == 403
        another = oauth.member_app(org_a, name="Another")
        assert self._poll(another, browser.send, begun).body["error"] == "invalid_grant"

        answers = [self._decide_page(stranger, "BBBBBBBB").status for _ in range(15)]
        assert answers.count(429) >= 5

    def test_asks_only_for_what_the_app_may(self, app: MemberApp, send: oauth.Send) -> None:
        for form in ({"scope": "payments.write"}, {"scope": ""}, {"client_secret": "kcs_wrong", "scope": "openid"}):
            answer = send("POST", "/oauth/device_authorization", {**app.credentials(), **form})
            assert answer.status in {400, 401}
            assert answer.body["error"] in {"invalid_scope", "invalid_client"}

    def _decide_page(self, browser: Browser, code: str) -> Answer:
        return browser.submit("/oauth/device", browser.get("/oauth/device"), {"user_code": code})


def test_an_app_without_a_secret_needs_pkce_and_nothing_else(browser: Browser, org_a: OrganizationContext) -> None:
    app = oauth.member_app(org_a, auth_method="none")

    assert "refresh_token" in app.tokens(browser)
    assert app.token(browser.send, grant_type="client_credentials").body["error"] == "invalid_client"
    shown = {**app.credentials(), "client_secret": ""}
    assert browser.send("POST", "/oauth/token", {**shown, "grant_type": "client_credentials"}).status == 401


def test_tokens_and_codes_of_one_organization_are_nothing_at_another(
    app: MemberApp, browser: Browser, org_b: OrganizationContext
) -> None:
    elsewhere = oauth.over_django(org_b)
    tokens, code = app.tokens(browser), app.code(browser, VERIFIER)
    twin = oauth.member_app(org_b)

    assert Browser(elsewhere, dict(browser.cookies)).get(twin.asks(VERIFIER)).status == 302
    for form in (
        {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]},
        {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER, "redirect_uri": oauth.CALLBACK},
    ):
        assert elsewhere("POST", "/oauth/token", {**app.credentials(), **form}).body["error"] == "invalid_client"
        assert elsewhere("POST", "/oauth/token", {**twin.credentials(), **form}).body["error"] == "invalid_grant"
    for token in (tokens["access_token"], tokens["id_token"]):
        assert _get(org_b, token, "/v1/me").status_code == 401
        asked = {**twin.credentials(), "token": token}
        assert elsewhere("POST", "/oauth/introspect", asked).body == {"active": False}


@pytest.mark.usefixtures("known_host")
def test_authorizations_are_listed_in_a_fixed_number_of_queries(
    browser: Browser,
    member: factory.Member,
    org_a: OrganizationContext,
    known_host: None,
    django_assert_num_queries: Any,
) -> None:
    for number in range(3):
        oauth.member_app(org_a, name=f"App {number}").tokens(browser)
    client = factory.signed_in(client_of(org_a), member.token)

    # What the plan allows is remembered for a while.
    client.get("/v1/me")
    # Session, rows.
    with django_assert_num_queries(2):
        assert len(client.get("/v1/authorizations").json()["data"]) == 3


@pytest.mark.usefixtures("known_host")
def test_authenticating_a_lent_token_costs_three_queries(
    app: MemberApp, browser: Browser, org_a: OrganizationContext, django_assert_num_queries: Any
) -> None:
    client = factory.signed_in(client_of(org_a), app.tokens(browser)["access_token"])

    client.get("/v1/me")
    # Key, token with app and member, authorization.
    with django_assert_num_queries(3):
        client.get("/v1/me")


def test_json_numbers_are_no_way_in(app: MemberApp, send: oauth.Send) -> None:
    body = json.dumps({**app.credentials(), "grant_type": "authorization_code"})
    answer = send("POST", "/oauth/token", {"body": body})
    assert (answer.status, answer.body["error"]) == (400, "invalid_request")
