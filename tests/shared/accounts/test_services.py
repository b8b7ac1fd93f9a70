"""Signing in and out, invitations and operators, on real rows."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from django.contrib.auth import hashers
from django.db import transaction
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from engine.clock import utc_now
from engine.errors import InvalidInput
from engine.tenancy.context import NoOrganization, OrganizationContext, organization, public_schema
from shared.accounts import attempts, codes, known_devices, passwords, services, signing_in, throttle
from shared.accounts.models import Session, User, principal_kind
from tests.factories.access import PASSWORD

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def platform(db: None) -> Iterator[None]:
    with public_schema():
        yield


def _address() -> str:
    """An address of a test's own: attempts are counted in a Valkey that outlives it."""
    return f"2001:db8::{uuid4().hex[:4]}:{uuid4().hex[:4]}"


def _email() -> str:
    return f"ada-{uuid4().hex[:12]}@example.com"


def _member(email: str | None = None) -> User:
    _, token = services.invite(email=email or _email())
    return services.accept_invitation(token=token, password=PASSWORD)


@pytest.mark.usefixtures("in_org_a")
class TestSignIn:
    def test_opens_a_session_whose_token_is_not_stored(self) -> None:
        user = _member()

        session, token = services.sign_in(email=user.email.upper(), password=PASSWORD, address=_address())

        assert token.startswith("kst_")
        assert token not in str(Session.objects.filter(id=session.id).values())
        found = services.authenticate(token=token)
        assert found is not None
        assert found.user == user
        assert found.user.principal.kind == "member"

    @pytest.mark.parametrize("case", ["unknown", "wrong", "invited", "deactivated"])
    def test_refuses_in_the_same_words(self, case: str) -> None:
        email = _email()
        if case == "invited":
            services.invite(email=email)
        elif case != "unknown":
            user = _member(email)
            if case == "deactivated":
                services.deactivate(user=user)

        with pytest.raises(services.SignInRefused) as refused:
            services.sign_in(
                email=email,
                password="something else entirely" if case == "wrong" else PASSWORD,
                address=_address(),
            )

        assert (refused.value.detail, refused.value.extra) == ("", {})

    @pytest.mark.parametrize("case", ["unknown", "wrong", "invited", "deactivated"])
    def test_does_the_work_of_one_hash_in_every_case(self, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
        email = _email()
        if case == "invited":
            services.invite(email=email)
        elif case != "unknown":
            user = _member(email)
            if case == "deactivated":
                services.deactivate(user=user)
        signing_in._hash_of_nothing()
        verified: list[str] = []
        argon2 = hashers.get_hasher("argon2")
        monkeypatch.setattr(
            type(argon2),
            "verify",
            lambda hasher, password, encoded, original=type(argon2).verify: (
                verified.append(encoded) or original(hasher, password, encoded)
            ),
        )

        with pytest.raises(services.SignInRefused):
            services.sign_in(email=email, password="not the password", address=_address())

        assert len(verified) == 1
        assert verified[0].startswith("argon2$argon2id$")

    def test_no_session_outlives_its_time_or_its_owner(self) -> None:
        user = _member()
        session, token = services.sign_in(email=user.email, password=PASSWORD, address=_address())

        later = session.expires_at
        assert services.authenticate(token=token, clock=lambda: later) is None
        assert services.authenticate(token=token) is not None
        services.deactivate(user=user)
        assert services.authenticate(token=token) is None

    def test_a_revoked_session_is_dead_and_others_live(self) -> None:
        user = _member()
        session, token = services.sign_in(email=user.email, password=PASSWORD, address=_address())
        _, other = services.sign_in(email=user.email, password=PASSWORD, address=_address())

        services.sign_out(session=session)

        assert services.authenticate(token=token) is None
        assert services.authenticate(token=other) is not None
        assert services.sign_out_everywhere(user=user) == 1
        assert services.authenticate(token=other) is None

    def test_when_a_session_was_seen_is_written_now_and_then(self, django_assert_num_queries: Any) -> None:
        user = _member()
        session, token = services.sign_in(email=user.email, password=PASSWORD, address=_address())

        with django_assert_num_queries(1):
            services.authenticate(token=token)
        later = session.last_seen_at + services.SEEN_INTERVAL
        services.authenticate(token=token, clock=lambda: later)

        assert Session.objects.get(id=session.id).last_seen_at == later


@pytest.mark.usefixtures("in_org_a")
class TestThrottle:
    def _guess(self, email: str, address: str) -> None:
        with pytest.raises(services.SignInRefused):
            services.sign_in(email=email, password="a guess that is wrong", address=address)

    def test_a_guesser_is_stopped_and_the_owner_elsewhere_is_not(self) -> None:
        user, guesser, home = _member(), _address(), _address()
        for _ in range(throttle.LIMITS.pair):
            self._guess(user.email, guesser)

        with pytest.raises(throttle.TooManyAttempts) as stopped:
            services.sign_in(email=user.email, password=PASSWORD, address=guesser)

        assert 0 < stopped.value.extra["retry_after"] <= throttle.LIMITS.window.total_seconds()
        session, _ = services.sign_in(email=user.email, password=PASSWORD, address=home)
        assert session.user_id == user.id

    def test_many_accounts_from_one_address(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(throttle, "LIMITS", replace(throttle.LIMITS, address=3))
        address = _address()
        for _ in range(3):
            self._guess(_email(), address)

        with pytest.raises(throttle.TooManyAttempts):
            services.sign_in(email=_email(), password=PASSWORD, address=address)

    def test_one_account_from_many_addresses_still_lets_its_owner_in_from_a_known_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user, home = _member(), _address()
        services.sign_in(email=user.email, password=PASSWORD, address=home)
        monkeypatch.setattr(throttle, "LIMITS", replace(throttle.LIMITS, account=3))
        for _ in range(3):
            self._guess(user.email, _address())

        with pytest.raises(throttle.TooManyAttempts):
            services.sign_in(email=user.email, password=PASSWORD, address=_address())
        session, _ = services.sign_in(email=user.email, password=PASSWORD, address=home)

        assert session.address == home

    def test_success_takes_the_attempts_back(self) -> None:
        user, home = _member(), _address()
        for _ in range(3):
            for _ in range(throttle.LIMITS.pair - 1):
                self._guess(user.email, home)
            services.sign_in(email=user.email, password=PASSWORD, address=home)

    def test_losing_valkey_gives_a_guesser_nothing(self, settings: Any) -> None:
        user, guesser = _member(), _address()
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        for _ in range(throttle.LIMITS.pair):
            self._guess(user.email, guesser)

        with pytest.raises(throttle.TooManyAttempts):
            services.sign_in(email=user.email, password=PASSWORD, address=guesser)

    def test_a_count_that_a_rollback_would_undo_is_refused(self) -> None:
        with pytest.raises(attempts.CountedInTransaction), transaction.atomic():
            self._guess(_email(), _address())

    def test_what_one_address_is_refused_does_not_use_up_the_account(self, monkeypatch: pytest.MonkeyPatch) -> None:
        user, guesser = _member(), _address()
        monkeypatch.setattr(throttle, "LIMITS", replace(throttle.LIMITS, account=8))
        for _ in range(throttle.LIMITS.pair):
            self._guess(user.email, guesser)
        for _ in range(20):
            with pytest.raises(throttle.TooManyAttempts):
                services.sign_in(email=user.email, password=PASSWORD, address=guesser)

        services.sign_in(email=user.email, password=PASSWORD, address=_address())

    def test_a_known_device_is_counted_apart_and_is_one_accounts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        user, other, shared = _member(), _member(), _address()
        services.sign_in(email=user.email, password=PASSWORD, address=_address())
        cookie = known_devices.remember(user=user, cookie="")
        monkeypatch.setattr(throttle, "LIMITS", replace(throttle.LIMITS, account=3, device=4))
        for _ in range(3):
            self._guess(user.email, _address())
        given = {"email": user.email, "address": shared}

        with pytest.raises(throttle.TooManyAttempts):
            services.sign_in(**given, password=PASSWORD)
        session, _ = services.sign_in(**given, password=PASSWORD, device_cookie=cookie)
        assert session.user_id == user.id
        for _ in range(4):
            with pytest.raises(services.SignInRefused):
                services.sign_in(**given, password="a guess that is wrong", device_cookie=cookie)
        with pytest.raises(throttle.TooManyAttempts):
            services.sign_in(**given, password=PASSWORD, device_cookie=cookie)
        assert known_devices.find(user=other, cookie=cookie) is None

    def test_organizations_do_not_share_counts(self, org_a: OrganizationContext, org_b: OrganizationContext) -> None:
        email, address = _email(), _address()
        for _ in range(throttle.LIMITS.pair):
            self._guess(email, address)
        with organization(org_b):
            self._guess(email, address)


@pytest.mark.usefixtures("in_org_a")
class TestInvitations:
    def test_works_once(self) -> None:
        user, token = services.invite(email=_email(), display_name="Ada")
        assert user.state == "invited"

        assert services.accept_invitation(token=token, password=PASSWORD).state == "active"

        with pytest.raises(services.InvitationInvalid):
            services.accept_invitation(token=token, password=PASSWORD)

    def test_a_newer_one_replaces_it(self) -> None:
        email = _email()
        _, first = services.invite(email=email)
        user, second = services.invite(email=email.upper())

        with pytest.raises(services.InvitationInvalid):
            services.accept_invitation(token=first, password=PASSWORD)
        assert services.accept_invitation(token=second, password=PASSWORD) == user

    def test_expires(self) -> None:
        _, token = services.invite(email=_email())
        later = utc_now() + services.INVITATION_LIFETIME + timedelta(seconds=1)

        with pytest.raises(services.InvitationInvalid):
            services.accept_invitation(token=token, password=PASSWORD, clock=lambda: later)

    def test_nobody_takes_over_an_active_account(self) -> None:
        user = _member()

        with pytest.raises(services.MemberExists):
            services.invite(email=user.email.upper())

    def test_somebody_who_was_deactivated_comes_back_with_a_new_password(self) -> None:
        user = _member()
        services.deactivate(user=user)
        _, token = services.invite(email=user.email)
        assert User.objects.get(id=user.id).state == "deactivated"

        services.accept_invitation(token=token, password="another battery staple")

        with pytest.raises(services.SignInRefused):
            services.sign_in(email=user.email, password=PASSWORD, address=_address())
        services.sign_in(email=user.email, password="another battery staple", address=_address())

    @pytest.mark.parametrize("password", ["short", "password1234", "x" * 201, "ADA.lovelace@example"])
    def test_a_weak_password_does_not_use_the_invitation_up(self, password: str) -> None:
        _, token = services.invite(email=f"ada.lovelace@example-{uuid4().hex[:8]}.com")

        with pytest.raises(passwords.WeakPassword) as refused:
            services.accept_invitation(token=token, password=password)
        services.accept_invitation(token=token, password=PASSWORD)

        assert refused.value.field == "password"

    @pytest.mark.parametrize("email", ["", "nobody", "a@b@c", "a\x00@example.com", "a" * 250 + "@example.com"])
    def test_an_address_that_is_none(self, email: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            services.invite(email=email)
        assert refused.value.field == "email"


@pytest.mark.usefixtures("platform")
class TestOperators:
    def _code(self, url: str, *, at: float) -> str:
        """What an authenticator app shows that was given the URL."""
        secret = base64.b32decode(parse_qs(urlsplit(url).query)["secret"][0])
        return f"{totp(secret, t0=int(time.time() - at)):06d}"

    def test_password_and_code_open_a_session(self) -> None:
        made = services.create_operator(email=_email(), password=PASSWORD)
        assert made.otpauth_url.startswith("otpauth://totp/Keystead:")
        code = self._code(made.otpauth_url, at=time.time())

        session, token = services.sign_in(email=made.user.email, password=PASSWORD, code=code, address=_address())

        assert session.user.principal.kind == "operator"
        assert session.user.public_id.startswith("opr_")
        assert services.authenticate(token=token) is not None

    def test_the_secret_is_not_stored_in_clear(self) -> None:
        made = services.create_operator(email=_email(), password=PASSWORD)
        secret = base64.b32decode(parse_qs(urlsplit(made.otpauth_url).query)["secret"][0])

        stored = TOTPDevice.objects.get(user_id=made.user.id).key

        assert secret.hex() not in stored
        assert secret not in base64.b64decode(stored)

    def test_the_secret_of_one_opens_nothing_for_another(self) -> None:
        mine = services.create_operator(email=_email(), password=PASSWORD)
        theirs = services.create_operator(email=_email(), password=PASSWORD)
        stolen = TOTPDevice.objects.get(user_id=mine.user.id).key
        TOTPDevice.objects.filter(user_id=theirs.user.id).update(key=stolen)

        with pytest.raises(services.SignInRefused):
            services.sign_in(
                email=theirs.user.email,
                password=PASSWORD,
                code=self._code(mine.otpauth_url, at=time.time()),
                address=_address(),
            )

    def test_guessing_codes_from_everywhere_ends_and_a_known_device_goes_on(self) -> None:
        made = services.create_operator(email=_email(), password=PASSWORD)
        cookie = known_devices.remember(user=made.user, cookie="")
        given = {"email": made.user.email, "password": PASSWORD}
        for _ in range(codes.LIMITS.soon):
            with pytest.raises(services.SignInRefused):
                services.sign_in(**given, code="000000", address=_address())
        code = self._code(made.otpauth_url, at=time.time())

        with pytest.raises(throttle.TooManyAttempts):
            services.sign_in(**given, code=code, address=_address())
        session, _ = services.sign_in(**given, code=code, address=_address(), device_cookie=cookie)

        assert session.methods == "otp pwd"
        assert session.mfa_at is not None

    def test_a_code_is_good_once(self) -> None:
        made = services.create_operator(email=_email(), password=PASSWORD)
        code = self._code(made.otpauth_url, at=time.time())
        given = {"email": made.user.email, "password": PASSWORD, "code": code, "address": _address()}
        services.sign_in(**given)

        with pytest.raises(services.SignInRefused):
            services.sign_in(**given)

    @pytest.mark.parametrize("code", ["000000", "abcdef", "12345", "1234567", "\u0661\u0662\u0663\u0664\u0665\u0666"])
    def test_a_wrong_code_sounds_like_a_wrong_password(self, code: str) -> None:
        made = services.create_operator(email=_email(), password=PASSWORD)

        with pytest.raises(services.SignInRefused):
            services.sign_in(email=made.user.email, password=PASSWORD, code=code, address=_address())

    def test_the_password_alone_is_not_enough(self) -> None:
        made = services.create_operator(email=_email(), password=PASSWORD)

        with pytest.raises(services.OtpRequired):
            services.sign_in(email=made.user.email, password=PASSWORD, address=_address())

    def test_no_two_have_one_address(self) -> None:
        made = services.create_operator(email=_email(), password=PASSWORD)

        with pytest.raises(services.OperatorExists):
            services.create_operator(email=made.user.email.upper(), password=PASSWORD)

    def test_their_sessions_mean_nothing_in_an_organization(self, org_a: OrganizationContext) -> None:
        made = services.create_operator(email=_email(), password=PASSWORD)
        code = self._code(made.otpauth_url, at=time.time())
        _, token = services.sign_in(email=made.user.email, password=PASSWORD, code=code, address=_address())

        with organization(org_a):
            assert services.authenticate(token=token) is None
            with pytest.raises(services.NotOnThePlatform):
                services.create_operator(email=_email(), password=PASSWORD)


def test_outside_every_context_nobody_is_an_operator() -> None:
    with pytest.raises(NoOrganization):
        principal_kind()
