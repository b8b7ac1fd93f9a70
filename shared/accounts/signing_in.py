"""Signing in: a password, and where there is one a second factor."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache

from django.contrib.auth.hashers import check_password, make_password

from engine.clock import Clock, utc_now
from engine.errors import DomainError
from shared.accounts import ceremonies, codes, journal, known_devices, rules, second_factors, sessions, throttle
from shared.accounts.attempts import Bucket
from shared.accounts.ceremonies import CeremonyOver, Purpose
from shared.accounts.models import KnownDevice, Session, User, id_of, principal_kind

SECOND_FACTOR_LIFETIME = timedelta(minutes=10)


class SignInRefused(DomainError):
    """The address or the password is wrong, or the account is closed: the caller is not told which."""

    code = "sign_in_refused"
    status = 401
    title = "The e-mail address or the password is wrong"


class OtpRequired(DomainError):
    """The password is right and a second factor is needed beside it."""

    code = "otp_required"
    status = 401
    title = "A one-time code is needed"


def sign_in(
    *,
    email: str,
    password: str,
    code: str | None = None,
    address: str | None = None,
    user_agent: str = "",
    device_cookie: str = "",
    clock: Clock = utc_now,
) -> tuple[Session, str]:
    """Open a session; returns it with its bearer token, which is not kept.

    `code` is a one-time code, which operators and whoever has a second factor need; without it OtpRequired
    carries the token for `finish`. `address` is the caller's IP, `device_cookie` what makes a browser known.
    An unknown account costs the same work as a known one. Raises TooManyAttempts, SignInRefused, OtpRequired.
    """
    user = User.objects.with_email(email).first()
    device = known_devices.find(user=user, cookie=device_cookie, clock=clock)

    def crossed(_: Bucket) -> None:
        if user is not None:
            journal.record_guessing(user=user, what="password", address=address, clock=clock)

    attempt = throttle.count(
        account=rules.normalise_email(email),
        address=address,
        device_id=device.id if device else None,
        known_address=lambda: _has_signed_in_from(user, address),
        crossed=crossed,
        clock=clock,
    )
    # The hash is verified in every case; only then does anything else count.
    is_right = check_password(password, _stored_hash(user))
    if user is None or not is_right or user.state != "active":
        raise SignInRefused
    # The password was no guess. Codes have counts of their own.
    attempt.succeeded()
    methods = [rules.PASSWORD]
    if principal_kind() == "operator" or second_factors.of(user).any:
        if not code:
            raise _second_factor_wanted(user, clock)
        if not codes.check(user=user, code=code, proven=_proven(device), address=address, clock=clock):
            raise SignInRefused
        methods.append(rules.CODE)
    return sessions.open_session(user=user, methods=methods, address=address, user_agent=user_agent, clock=clock)


def finish(
    *,
    token: str,
    code: str,
    address: str | None = None,
    user_agent: str = "",
    device_cookie: str = "",
    clock: Clock = utc_now,
) -> tuple[Session, str]:
    """Show the one-time code of a sign-in whose password was right. What `sign_in` returns.

    A sign-in takes five codes, right or wrong. Raises CeremonyOver, TooManyAttempts, codes.CodeWrong.
    """
    ceremony = ceremonies.attempt(token=token, purpose=Purpose.SECOND_FACTOR, clock=clock)
    user = ceremony.user
    if user is None:
        raise CeremonyOver
    device = known_devices.find(user=user, cookie=device_cookie, clock=clock)
    if not codes.check(user=user, code=code, proven=_proven(device), address=address, clock=clock):
        raise codes.CodeWrong(attempts_left=ceremonies.ATTEMPTS_MAX - ceremony.attempts)
    ceremonies.end(ceremony, clock=clock)
    methods = [rules.PASSWORD, rules.CODE]
    return sessions.open_session(user=user, methods=methods, address=address, user_agent=user_agent, clock=clock)


def _second_factor_wanted(user: User, clock: Clock) -> OtpRequired:
    _, token = ceremonies.begin(purpose=Purpose.SECOND_FACTOR, user=user, lifetime=SECOND_FACTOR_LIFETIME, clock=clock)
    return OtpRequired(
        sign_in_token=token,
        methods=second_factors.of(user).names,
        expires_in=int(SECOND_FACTOR_LIFETIME.total_seconds()),
    )


def _proven(device: KnownDevice | None) -> str:
    return f"device:{device.id}" if device else ""


def _has_signed_in_from(user: User | None, address: str | None) -> bool:
    # Asked for an unknown account too: the time that it takes must not say that there is none.
    return address is not None and Session.objects.filter(user_id=id_of(user), address=address).exists()


def _stored_hash(user: User | None) -> str:
    if user is None or not user.has_usable_password():
        return _hash_of_nothing()
    return user.password


@lru_cache(maxsize=1)
def _hash_of_nothing() -> str:
    """What the password of an unknown account is compared with: it takes as long as a real one."""
    return make_password(rules.new_token("kno"))
