"""Members' second factors over HTTP: authenticators, recovery codes, step-ups and the organization's policy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from engine.clock import utc_now
from engine.tenancy.context import OrganizationContext, organization
from shared.accounts import ceremonies, codes, journal, otp, second_factors
from shared.accounts.models import Ceremony, Session, SignInPolicy, User
from tenants.audit.models import Entry
from tests.conftest import client_of
from tests.factories import access
from tests.factories.operators import code_of
from tests.harness.live import LiveDatabase


def _address() -> str:
    return f"2001:db8::{uuid4().hex[:4]}:{uuid4().hex[:4]}"


class Person:
    """A member at a browser: what it was told, and the cookie that makes it known."""

    def __init__(self, org: OrganizationContext, role: str | None = "owner") -> None:
        self.org = org
        self.member = access.member(org, role)
        self.client = access.signed_in(client_of(org), self.member.token)
        self.url = ""
        self.recovery_codes: list[str] = []

    def enrol(self) -> None:
        self.url = self.client.post("/v1/second-factors/authenticator").json()["otpauth_url"]
        answer = self.client.post("/v1/second-factors/authenticator/confirm", {"otp": self.code()})
        assert answer.status_code == 200, answer.content
        self.recovery_codes = answer.json()["recovery_codes"]

    def code(self, *, after: timedelta = timedelta()) -> str:
        """The present code, accepted though one of this half minute was used before."""
        from django_otp.plugins.otp_totp.models import TOTPDevice

        with organization(self.org):
            TOTPDevice.objects.filter(user_id=self.member.principal.id).update(last_t=-1, drift=0)
        return code_of(self.url, after=after)

    def sign_in(self, *, password: str = access.PASSWORD, at: str | None = None, **more: str) -> Any:
        body = {"email": self.member.email, "password": password, **more}
        return client_of(self.org).post("/v1/sessions", body, REMOTE_ADDR=at or _address())

    def half_signed_in(self) -> str:
        answer = self.sign_in()
        assert answer.status_code == 401
        return str(answer.json()["sign_in_token"])

    def finish(self, token: str, code: str, *, cookie: str = "") -> Any:
        client = client_of(self.org)
        if cookie:
            client.cookies["__Host-keystead-device"] = cookie
        return client.post("/v1/sessions/second-factor", {"sign_in_token": token, "otp": code}, REMOTE_ADDR=_address())


@pytest.fixture
def ada(org_a: OrganizationContext) -> Person:
    return Person(org_a)


@pytest.fixture
def enrolled(ada: Person) -> Person:
    ada.enrol()
    return ada


def _acts(org: OrganizationContext) -> list[str]:
    with organization(org):
        return list(Entry.objects.order_by("id").values_list("action", flat=True))


class TestSigningIn:
    def test_without_one_the_password_is_enough(self, ada: Person) -> None:
        body = ada.sign_in().json()
        assert body["methods"] == ["pwd"]
        assert body["mfa_at"] is None

    def test_with_one_it_takes_two_steps(self, enrolled: Person) -> None:
        asked = enrolled.sign_in()
        assert (asked.status_code, asked.json()["code"]) == (401, "otp_required")
        assert asked.json()["methods"] == ["totp", "recovery_code"]

        answer = enrolled.finish(asked.json()["sign_in_token"], enrolled.code())

        assert answer.status_code == 201
        assert answer.json()["methods"] == ["otp", "pwd"]
        cookie = answer.cookies["__Host-keystead-device"]
        assert (cookie["secure"], cookie["httponly"], cookie["path"], cookie["domain"]) == (True, True, "/", "")
        me = access.signed_in(client_of(enrolled.org), answer.json()["token"])
        assert me.get("/v1/me").status_code == 200

    def test_right_passwords_close_nothing_although_the_code_comes_later(self, enrolled: Person) -> None:
        at = _address()
        for _ in range(12):
            assert enrolled.sign_in(at=at).json()["code"] == "otp_required"

    def test_or_one_with_the_code_in_it(self, enrolled: Person) -> None:
        assert enrolled.sign_in(otp=enrolled.code()).status_code == 201
        wrong = enrolled.sign_in(otp="000000")
        unknown = client_of(enrolled.org).post(
            "/v1/sessions", {"email": "nobody@example.com", "password": "x", "otp": "000000"}, REMOTE_ADDR=_address()
        )
        told = [{**answer.json(), "request_id": "", "instance": ""} for answer in (wrong, unknown)]
        assert told[0] == told[1]

    def test_a_token_is_good_once_and_for_ten_minutes(self, enrolled: Person) -> None:
        token = enrolled.half_signed_in()
        assert enrolled.finish(token, enrolled.code()).status_code == 201
        assert enrolled.finish(token, enrolled.code()).json()["code"] == "sign_in_expired"
        late = enrolled.half_signed_in()
        with organization(enrolled.org):
            Ceremony.objects.update(expires_at=utc_now())
        assert enrolled.finish(late, enrolled.code()).json()["code"] == "sign_in_expired"

    def test_a_code_is_good_once_and_for_a_minute_and_a_half(self, enrolled: Person) -> None:
        code = enrolled.code()
        assert enrolled.finish(enrolled.half_signed_in(), code).status_code == 201
        assert enrolled.finish(enrolled.half_signed_in(), code).json()["code"] == "otp_wrong"
        for seconds in (-95, 95):
            skewed = enrolled.code(after=timedelta(seconds=seconds))
            assert enrolled.finish(enrolled.half_signed_in(), skewed).json()["code"] == "otp_wrong"

    def test_a_recovery_code_stands_in_once(self, enrolled: Person) -> None:
        assert len(enrolled.recovery_codes) == otp.RECOVERY_CODES
        code = enrolled.recovery_codes[0].upper()
        assert enrolled.finish(enrolled.half_signed_in(), code).status_code == 201
        assert enrolled.finish(enrolled.half_signed_in(), code).json()["code"] == "otp_wrong"
        left = enrolled.client.get("/v1/second-factors").json()["recovery_codes"]
        assert left == otp.RECOVERY_CODES - 1

    def test_what_is_stored_makes_no_codes_and_no_other_organizations_key_opens_it(
        self, enrolled: Person, org_b: OrganizationContext
    ) -> None:
        from django_otp.plugins.otp_totp.models import TOTPDevice

        code = int(enrolled.code())
        with organization(enrolled.org):
            device = TOTPDevice.objects.get(user_id=enrolled.member.principal.id)
            assert device.key not in enrolled.url
            assert otp._matches(device, code, time.time())
            device.last_t = -1
        with organization(org_b):
            assert not otp._matches(device, code, time.time())

    def test_a_deactivated_member_does_not_finish(self, enrolled: Person) -> None:
        token, code = enrolled.half_signed_in(), enrolled.code()
        with organization(enrolled.org):
            User.objects.filter(id=enrolled.member.principal.id).update(is_active=False)
        assert enrolled.finish(token, code).json()["code"] == "sign_in_expired"

    def test_a_token_of_another_organization_is_nothing(self, enrolled: Person, org_b: OrganizationContext) -> None:
        body = {"sign_in_token": enrolled.half_signed_in(), "otp": enrolled.code()}
        answer = client_of(org_b).post("/v1/sessions/second-factor", body)
        assert answer.json()["code"] == "sign_in_expired"


class TestGuessing:
    def test_five_codes_are_looked_at_for_each_sign_in(self, enrolled: Person) -> None:
        token = enrolled.half_signed_in()
        for left in (4, 3, 2, 1, 0):
            answer = enrolled.finish(token, "000000").json()
            assert (answer["code"], answer["attempts_left"]) == ("otp_wrong", left)
        assert enrolled.finish(token, enrolled.code()).json()["code"] == "sign_in_expired"

    def test_who_knows_the_password_gets_ten_in_all_and_the_owner_at_home_gets_in(self, enrolled: Person) -> None:
        home = enrolled.finish(enrolled.half_signed_in(), enrolled.code()).cookies["__Host-keystead-device"].value
        for _ in range(2):
            token = enrolled.half_signed_in()
            for _ in range(5):
                assert enrolled.finish(token, "000000").json()["code"] == "otp_wrong"
        token = enrolled.half_signed_in()
        assert enrolled.finish(token, enrolled.code()).status_code == 429

        assert enrolled.finish(enrolled.half_signed_in(), enrolled.code(), cookie=home).status_code == 201
        assert enrolled.finish(enrolled.half_signed_in(), enrolled.recovery_codes[0]).status_code == 201
        assert _acts(enrolled.org).count("sign_in.guessed") == 1

    def test_many_at_the_same_moment_are_counted_one_by_one(self, live_db: LiveDatabase, org_a: Any) -> None:
        ada = Person(org_a)
        ada.enrol()
        token = ada.half_signed_in()
        before = codes.EVALUATED._value.get()

        def guess(_: int) -> str:
            from django.db import connection

            try:
                return str(ada.finish(token, "000000").json()["code"])
            finally:
                connection.close()

        with ThreadPoolExecutor(8) as pool:
            told = list(pool.map(guess, range(24)))

        assert told.count("otp_wrong") == ceremonies.ATTEMPTS_MAX
        assert codes.EVALUATED._value.get() - before == ceremonies.ATTEMPTS_MAX


class TestStepUp:
    @pytest.fixture
    def stale(self, enrolled: Person) -> Iterator[APIClient]:
        long_ago = utc_now() - second_factors.FRESH - timedelta(seconds=1)
        with organization(enrolled.org):
            Session.objects.update(authenticated_at=long_ago, mfa_at=long_ago)
        yield enrolled.client

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("post", "/v1/second-factors/authenticator"),
            ("delete", "/v1/second-factors/authenticator"),
            ("post", "/v1/second-factors/recovery-codes"),
        ],
    )
    def test_what_is_dangerous_asks_again(self, stale: APIClient, enrolled: Person, method: str, path: str) -> None:
        refused = getattr(stale, method)(path)
        assert (refused.status_code, refused.json()["code"]) == (403, "step_up_required")
        assert refused.json()["step_up"] == ["totp", "recovery_code"]

        shown = stale.post("/v1/sessions/current/step-up", {"otp": enrolled.code()})

        assert shown.status_code == 200
        assert shown.json()["mfa_at"] is not None
        assert getattr(stale, method)(path).status_code in {200, 204}
        assert "session.stepped_up" in _acts(enrolled.org)

    def test_the_password_is_no_second_factor(self, stale: APIClient) -> None:
        answer = stale.post("/v1/sessions/current/step-up", {"password": access.PASSWORD})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "otp")

    def test_without_one_the_password_will_do(self, ada: Person) -> None:
        with organization(ada.org):
            Session.objects.update(authenticated_at=utc_now() - timedelta(hours=1))
        path = "/v1/second-factors/authenticator"
        assert ada.client.post(path).json()["step_up"] == ["password"]
        step_up = "/v1/sessions/current/step-up"
        assert ada.client.post(step_up, {"password": "wrong"}).json()["code"] == "password_wrong"
        assert ada.client.post(step_up, {"password": access.PASSWORD}).status_code == 200
        assert ada.client.post(path).status_code == 200

    def test_a_stolen_session_gets_ten_guesses_and_leaves_the_owner_theirs(self, enrolled: Person) -> None:
        for _ in range(codes.LIMITS.soon):
            answer = enrolled.client.post("/v1/sessions/current/step-up", {"otp": "000000"})
            assert answer.json()["code"] == "otp_wrong"
        assert enrolled.client.post("/v1/sessions/current/step-up", {"otp": enrolled.code()}).status_code == 429
        assert enrolled.finish(enrolled.half_signed_in(), enrolled.code()).status_code == 201

    def test_apps_have_nothing_to_show(self, org_a: OrganizationContext) -> None:
        app = access.signed_in(client_of(org_a), access.app_token(org_a))
        for path in ("/v1/second-factors/authenticator", "/v1/second-factors/recovery-codes"):
            assert app.post(path).json()["code"] == "members_only"


class TestEnrolling:
    def test_an_authenticator_counts_once_its_code_was_seen(self, ada: Person) -> None:
        ada.url = ada.client.post("/v1/second-factors/authenticator").json()["otpauth_url"]
        assert ada.sign_in().status_code == 201
        confirm = "/v1/second-factors/authenticator/confirm"
        assert ada.client.post(confirm, {"otp": "000000"}).json()["code"] == "otp_wrong"
        assert ada.client.post(confirm, {"otp": code_of(ada.url)}).status_code == 200
        assert ada.sign_in().status_code == 401

    def test_the_first_one_ends_the_sessions_that_a_password_opened(self, ada: Person) -> None:
        other = access.signed_in(client_of(ada.org), ada.sign_in().json()["token"])
        assert other.get("/v1/me").status_code == 200
        ada.enrol()
        assert other.get("/v1/me").status_code == 401
        assert ada.client.get("/v1/me").status_code == 200

    def test_a_new_one_replaces_the_old_one_and_keeps_the_recovery_codes(self, enrolled: Person) -> None:
        old, kept = enrolled.url, enrolled.recovery_codes
        enrolled.enrol()
        assert enrolled.recovery_codes == []
        assert enrolled.sign_in(otp=code_of(old)).status_code == 401
        assert enrolled.sign_in(otp=kept[3]).status_code == 201

    def test_without_the_last_one_the_recovery_codes_are_void(self, enrolled: Person) -> None:
        assert enrolled.client.delete("/v1/second-factors/authenticator").status_code == 204
        assert enrolled.client.get("/v1/second-factors").json() == {
            "authenticator": False,
            "recovery_codes": 0,
            "passkeys": 0,
            "mfa_required": False,
        }
        assert enrolled.sign_in().status_code == 201


class TestPolicy:
    @pytest.fixture(autouse=True)
    def required(self, ada: Person) -> None:
        with organization(ada.org):
            SignInPolicy.objects.create(mfa_required=True)

    def test_lets_who_has_none_do_nothing_but_add_one(self, ada: Person) -> None:
        refused = ada.client.get("/v1/people")
        assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_required")
        assert ada.client.get("/v1/me").status_code == 200
        ada.enrol()
        assert ada.client.get("/v1/people").status_code == 200

    def test_does_not_let_the_last_one_go(self, ada: Person) -> None:
        ada.enrol()
        answer = ada.client.delete("/v1/second-factors/authenticator")
        assert (answer.status_code, answer.json()["code"]) == (409, "second_factor_needed")
        assert ada.client.get("/v1/second-factors").json()["authenticator"] is True

    def test_is_asked_in_the_session_s_own_query(self, ada: Person, django_assert_num_queries: Any) -> None:
        from shared.accounts import services

        with organization(ada.org), django_assert_num_queries(1):
            services.authenticate(token=ada.member.token)

    def test_is_another_organizations_own(self, ada: Person, org_b: OrganizationContext) -> None:
        assert Person(org_b).client.get("/v1/people").status_code == 200


def test_nothing_is_done_that_could_not_be_written(ada: Person) -> None:
    writer = journal.set_writer(None)
    try:
        assert ada.sign_in().status_code == 500
    finally:
        journal.set_writer(writer)
