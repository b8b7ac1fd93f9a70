"""What a person has beside the password, and showing it again for something dangerous (a step-up)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.hashers import check_password
from django.db import transaction

from engine.clock import Clock, utc_now
from engine.errors import Conflict, DomainError, InvalidInput
from engine.principals import Principal
from shared.accounts import attempts, codes, journal, known_devices, mails, otp, rules, sessions
from shared.accounts.attempts import Bucket
from shared.accounts.models import Passkey, Session, SignInPolicy, User, principal_kind

FRESH = timedelta(minutes=15)
"""How long a proof of who somebody is serves for what is dangerous."""


class StepUpRequired(DomainError):
    """The session is the owner's, and is too old for this: whoever took it over must not get further.
    `step_up` says what to show at `POST /v1/sessions/current/step-up`."""

    code = "step_up_required"
    status = 403
    title = "Show again that it is you"


class SecondFactorNeeded(Conflict):
    """Without it nobody could sign in here: operators, and members where the policy asks, need one."""

    code = "second_factor_needed"
    title = "A second factor is needed here"


class PasswordWrong(DomainError):
    """The password is not the account's."""

    code = "password_wrong"
    status = 401
    title = "The password is wrong"


@dataclass(frozen=True, slots=True)
class SecondFactors:
    """Which ones somebody has."""

    authenticator: bool
    recovery_codes: int
    passkeys: int

    @property
    def any(self) -> bool:
        """Whether a sign-in by password needs one. Recovery codes alone are none."""
        return self.authenticator or self.passkeys > 0

    @property
    def names(self) -> list[str]:
        """What can be shown, for a client to choose from."""
        names = [("totp", self.authenticator), ("recovery_code", self.recovery_codes), ("passkey", self.passkeys)]
        return [name for name, there in names if there]


def of(user: User) -> SecondFactors:
    """What the user has."""
    return SecondFactors(
        authenticator=otp.has_authenticator(user=user),
        recovery_codes=otp.recovery_codes_left(user=user),
        passkeys=Passkey.objects.filter(user=user).count(),
    )


def required() -> bool:
    """Whether people here have to have one: operators always, members where their organization says so."""
    return principal_kind() == "operator" or SignInPolicy.objects.filter(mfa_required=True).exists()


def require_fresh(session: Session, *, clock: Clock = utc_now) -> None:
    """Raises StepUpRequired unless the session's owner has proven who they are just now, by a second factor if
    they have one."""
    has = of(session.user)
    since = session.mfa_at if has.any else session.authenticated_at or session.created_at
    if since is None or clock() - since > FRESH:
        raise StepUpRequired(step_up=has.names if has.any else ["password"])


def step_up(
    *, session: Session, code: str = "", password: str = "", address: str | None = None, clock: Clock = utc_now
) -> Session:
    """Show a one-time code, or where there is no second factor the password, once more.

    Raises TooManyAttempts, CodeWrong, PasswordWrong, InvalidInput (fields otp, password).
    """
    user = session.user
    if of(user).any:
        if not code:
            raise InvalidInput("This account has a second factor: show a code of it, or a passkey.", field="otp")
        if not codes.check(user=user, code=code, proven=f"session:{session.id}", address=address, clock=clock):
            raise codes.CodeWrong
        return record_step_up(session=session, method=rules.CODE, clock=clock)
    if not password:
        raise InvalidInput("Show the password of the account.", field="password")
    bucket = Bucket(f"password:session:{session.id}", codes.LIMITS.soon, FRESH)
    attempts.count([bucket], clock=clock)
    if not check_password(password, user.password):
        raise PasswordWrong
    attempts.forget([bucket])
    return record_step_up(session=session, method=rules.PASSWORD, clock=clock)


def record_step_up(*, session: Session, method: str, clock: Clock = utc_now) -> Session:
    """Note on the session what has just been shown."""
    now = clock()
    session.methods = " ".join(sorted({*session.methods.split(), method}))
    session.authenticated_at = now
    if method != rules.PASSWORD:
        session.mfa_at = now
    with transaction.atomic():
        session.save(update_fields=["methods", "authenticated_at", "mfa_at"])
        journal.record(
            action="session.stepped_up",
            user=session.user,
            detail={"session": session.public_id, "method": method},
            clock=clock,
        )
    return session


def begin_authenticator(*, session: Session, clock: Clock = utc_now) -> str:
    """A new authenticator as an `otpauth://` URL; it counts once `confirm_authenticator` has seen its code.

    Raises StepUpRequired.
    """
    require_fresh(session, clock=clock)
    return otp.begin_enrolment(user=session.user)


def confirm_authenticator(*, session: Session, code: str, clock: Clock = utc_now) -> tuple[str, ...]:
    """Put the new authenticator in place of the present one; returns new recovery codes where there were none.

    With the first second factor every other session ends: each was opened by the password alone.

    Raises StepUpRequired, TooManyAttempts, CodeWrong.
    """
    require_fresh(session, clock=clock)
    user, has = session.user, of(session.user)
    bucket = Bucket(f"code:{user.id}:enrolment:{session.id}", codes.LIMITS.soon, FRESH)
    attempts.count([bucket], clock=clock)
    with transaction.atomic():
        if not otp.confirm(user=user, code=code, clock=clock):
            raise codes.CodeWrong
        if not has.any:
            sessions.sign_out_everywhere(user=user, but=session.id, clock=clock)
        made = () if otp.recovery_codes_left(user=user) else otp.new_recovery_codes(user=user)
        record_step_up(session=session, method=rules.CODE, clock=clock)
        journal.record(action="authenticator.added", user=user, clock=clock)
        mails.post(kind=mails.Kind.SECOND_FACTOR_ADDED, about=user.id)
    return made


def remove_authenticator(*, session: Session, clock: Clock = utc_now) -> None:
    """Take the authenticator away, and with the last second factor the recovery codes.

    Raises StepUpRequired, SecondFactorNeeded.
    """
    require_fresh(session, clock=clock)
    user = session.user
    with transaction.atomic():
        User.objects.select_for_update().get(id=user.id)
        if not otp.remove(user=user):
            return
        settle_removal(user)
        journal.record(action="authenticator.removed", user=user, clock=clock)
        mails.post(kind=mails.Kind.SECOND_FACTOR_REMOVED, about=user.id)


def settle_removal(user: User) -> None:
    """After one was removed, in its transaction and under the user's lock. Raises SecondFactorNeeded."""
    if of(user).any:
        return
    if required():
        raise SecondFactorNeeded("Add another one first.")
    otp.remove_recovery_codes(user=user)


def renew_recovery_codes(*, session: Session, clock: Clock = utc_now) -> tuple[str, ...]:
    """Ten new recovery codes; the earlier ones are void. Raises StepUpRequired, InvalidInput."""
    require_fresh(session, clock=clock)
    if not of(session.user).any:
        raise InvalidInput("Recovery codes stand in for a second factor: add one first.")
    with transaction.atomic():
        made = otp.new_recovery_codes(user=session.user)
        journal.record(action="recovery_codes.made", user=session.user, clock=clock)
    return made


def set_required(*, required_now: bool, session: Session, clock: Clock = utc_now) -> None:
    """Ask everybody of this schema for a second factor, or no longer. In the caller's transaction.

    Raises SecondFactorNeeded when whoever asks for it has shown none: they would be the first who is kept out.
    """
    if required_now and session.mfa_at is None:
        raise SecondFactorNeeded("Add a second factor yourself first.")
    SignInPolicy.objects.update_or_create(id=1, defaults={"mfa_required": required_now, "updated_at": clock()})


def remove_all(*, user: User) -> None:
    """Take away what somebody has beside the password. In the caller's transaction."""
    otp.remove(user=user)
    otp.remove_recovery_codes(user=user)
    Passkey.objects.filter(user=user).delete()


def reset(*, user: User, by: Principal, clock: Clock = utc_now) -> None:
    """Take every second factor of somebody away who has lost theirs; every session ends. In the caller's
    transaction."""
    remove_all(user=user)
    sessions.sign_out_everywhere(user=user, clock=clock)
    known_devices.forget_all(user=user)
    journal.record(action="second_factors.reset", user=user, by=by, clock=clock)
    mails.post(kind=mails.Kind.SECOND_FACTORS_RESET, about=user.id)
