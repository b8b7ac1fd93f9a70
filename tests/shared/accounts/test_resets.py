"""Mails that bring invitations and resets, new passwords, and breached ones."""

from __future__ import annotations

import hashlib
import io
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from engine.clock import utc_now
from engine.outbox.inline import drain
from engine.tenancy.context import OrganizationContext, organization, public_schema
from shared.accounts import breached, ceremonies, resets, second_factors
from shared.accounts.models import Ceremony, Session
from tests.conftest import visitor_of
from tests.factories import access, operators

NEW = "another battery staple altogether"
Post = Callable[[], str]


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Post:
    """Sends what waits, and returns what was written out."""

    def sent() -> str:
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        drain(raise_errors=True)
        monkeypatch.undo()
        return stream.getvalue()

    return sent


def _token(text: str, path: str, org: OrganizationContext) -> str:
    found = re.search(rf"{re.escape(org.issuer)}/{path}#(\w+)", text)
    assert found is not None, text
    return found[1]


@pytest.fixture
def ada(org_a: OrganizationContext) -> access.Member:
    return access.member(org_a)


@pytest.fixture
def hers(org_a: OrganizationContext, ada: access.Member) -> APIClient:
    return access.signed_in(visitor_of(org_a), ada.token)


class TestInvitation:
    def test_the_mail_brings_the_token_that_the_answer_has(
        self, org_a: OrganizationContext, hers: APIClient, post: Post
    ) -> None:
        email = f"bob-{uuid4().hex[:8]}@example.com"
        told = hers.post("/v1/members", {"email": email, "role": "analyst"}).json()["invitation_token"]
        mail = post()
        assert f"mail to {email}" in mail
        token = _token(mail, "accept-invitation", org_a)
        assert token == told
        accepted = visitor_of(org_a).post("/v1/invitations/accept", {"token": token, "password": NEW})
        assert accepted.status_code == 200

    def test_one_that_was_replaced_is_not_sent(self, hers: APIClient, post: Post) -> None:
        email = f"bob-{uuid4().hex[:8]}@example.com"
        for _ in range(2):
            hers.post("/v1/members", {"email": email})
        assert post().count(f"mail to {email}") == 1


class TestReset:
    def test_a_forgotten_password(self, org_a: OrganizationContext, ada: access.Member, post: Post) -> None:
        anybody = visitor_of(org_a)
        post()
        assert anybody.post("/v1/password-resets", {"email": ada.email.upper()}).status_code == 202
        token = _token(post(), "reset-password", org_a)

        weak = anybody.post("/v1/password-resets/confirm", {"token": token, "password": "qwerty123456"})
        assert weak.json()["errors"][0]["field"] == "password"
        body = {"token": token, "password": NEW}
        assert anybody.post("/v1/password-resets/confirm", body).status_code == 204

        assert anybody.post("/v1/password-resets/confirm", body).json()["code"] == "sign_in_expired"
        assert access.signed_in(visitor_of(org_a), ada.token).get("/v1/me").status_code == 401
        old = {"email": ada.email, "password": access.PASSWORD}
        assert anybody.post("/v1/sessions", old).status_code == 401
        assert anybody.post("/v1/sessions", {**old, "password": NEW}).status_code == 201
        assert "was changed" in post()

    def test_says_the_same_and_does_the_same_for_nobody(
        self,
        org_a: OrganizationContext,
        ada: access.Member,
        post: Post,
        django_assert_num_queries: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(ceremonies, "_PURGE_ONCE_IN", 10**9)
        post()
        with organization(org_a):
            # What is kept for a while is read now.
            resets.request(email="somebody.else@example.com")
        with organization(org_a), django_assert_num_queries(6):
            resets.request(email=ada.email)
        with organization(org_a), django_assert_num_queries(6):
            resets.request(email="nobody@example.com")
        told = [visitor_of(org_a).post("/v1/password-resets", {"email": one}) for one in (ada.email, "x@example.com")]
        assert [answer.status_code for answer in told] == [202, 202]
        assert told[0].content == told[1].content
        mail = post()
        assert mail.count("--- mail to") == mail.count(f"mail to {ada.email}") == 2

    def test_no_more_than_three_stay_open_and_the_first_stays_good(
        self, org_a: OrganizationContext, ada: access.Member, post: Post
    ) -> None:
        post()
        for _ in range(6):
            visitor_of(org_a).post("/v1/password-resets", {"email": ada.email})
        mail = post()
        assert mail.count(f"mail to {ada.email}") == resets.OPEN_MAX
        body = {"token": _token(mail, "reset-password", org_a), "password": NEW}
        assert visitor_of(org_a).post("/v1/password-resets/confirm", body).status_code == 204
        rest = re.findall(r"reset-password#(\w+)", mail)[1]
        answer = visitor_of(org_a).post("/v1/password-resets/confirm", {"token": rest, "password": NEW})
        assert answer.json()["code"] == "sign_in_expired"

    def test_is_over_after_an_hour_and_nothing_elsewhere(
        self, org_a: OrganizationContext, org_b: OrganizationContext, ada: access.Member, post: Post
    ) -> None:
        visitor_of(org_a).post("/v1/password-resets", {"email": ada.email})
        body = {"token": _token(post(), "reset-password", org_a), "password": NEW}
        elsewhere = visitor_of(org_b).post("/v1/password-resets/confirm", body)
        assert elsewhere.json()["code"] == "sign_in_expired"
        with organization(org_a):
            assert body["token"] not in str(Ceremony.objects.values())
            Ceremony.objects.update(expires_at=utc_now())
        assert visitor_of(org_a).post("/v1/password-resets/confirm", body).json()["code"] == "sign_in_expired"

    def test_an_operator_still_needs_the_code(self, db: None, post: Post) -> None:
        operator = operators.operator()
        operators.platform_client().post("/v1/password-resets", {"email": operator.email})
        token = re.search(r"reset-password#(\w+)", post())
        assert token is not None
        body = {"token": token[1], "password": NEW}
        assert operators.platform_client().post("/v1/password-resets/confirm", body).status_code == 204
        given = {"email": operator.email, "password": NEW}
        assert operators.platform_client().post("/v1/sessions", given).json()["code"] == "otp_required"
        with public_schema():
            assert Session.objects.filter(user_id=operator.principal.id, revoked_at=None).count() == 0


class TestChange:
    def test_ends_every_other_session(self, org_a: OrganizationContext, ada: access.Member, hers: APIClient) -> None:
        given = {"email": ada.email, "password": access.PASSWORD}
        other = access.signed_in(visitor_of(org_a), visitor_of(org_a).post("/v1/sessions", given).json()["token"])
        assert hers.put("/v1/password", {"password": NEW}).status_code == 204
        assert other.get("/v1/me").status_code == 401
        assert hers.get("/v1/me").status_code == 200

    def test_asks_who_it_is(self, org_a: OrganizationContext, hers: APIClient) -> None:
        with organization(org_a):
            Session.objects.update(authenticated_at=utc_now() - second_factors.FRESH - timedelta(seconds=1))
        assert hers.put("/v1/password", {"password": NEW}).json()["code"] == "step_up_required"


class TestBreached:
    @pytest.mark.parametrize("password", ["123qweasdzxc", "1QAZ2wsx3edc", "passwordpassword"])
    def test_the_commonest_are_refused(self, hers: APIClient, password: str) -> None:
        answer = hers.put("/v1/password", {"password": password})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "password"

    def test_others_are_not(self) -> None:
        assert not breached.contains(NEW)
        assert not breached.contains(access.PASSWORD)
        assert breached.pack(["A", "a", "b"]) == b"".join(
            sorted(hashlib.sha1(one).digest()[:5] for one in (b"a", b"b"))
        )

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_every_line_of_a_whole_list_is_found(self, tmp_path: Path, end: str, settings: Any) -> None:
        known = [f"leaked password number {number}" for number in range(301)]
        hashes = sorted(hashlib.sha1(one.encode()).hexdigest().upper() for one in known)
        file = tmp_path / "hashes.txt"
        file.write_text(end.join(f"{one}:{index * index}" for index, one in enumerate(hashes)), newline="")
        settings.BREACHED_PASSWORDS_FILE = file
        assert all(breached.contains(one) for one in known)
        assert not any(breached.contains(f"{one}!") for one in known)
