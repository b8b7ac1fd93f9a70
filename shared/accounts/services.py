"""Signing in and out, and inviting people. Works on the members of the organization whose context is
entered, or on the operators in `public_schema()`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

from django.contrib.auth.hashers import check_password, make_password
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, validate_email
from django.db import IntegrityError, transaction

from engine.clock import Clock, utc_now
from engine.errors import Conflict, DomainError, InvalidInput, NotFound
from shared.accounts import otp, passwords, rules, throttle
from shared.accounts.models import Invitation, Session, User, principal_kind

SESSION_LIFETIME = timedelta(hours=12)
INVITATION_LIFETIME = timedelta(days=7)
# Coarse on purpose: a write per request would cost more than the figure is worth.
SEEN_INTERVAL = timedelta(minutes=5)


class SignInRefused(DomainError):
    """The address or the password is wrong, or the account is closed: the caller is not told which."""

    code = "sign_in_refused"
    status = 401
    title = "The e-mail address or the password is wrong"


class OtpRequired(DomainError):
    """The password is right and a one-time code is needed beside it."""

    code = "otp_required"
    status = 401
    title = "A one-time code is needed"


class InvitationInvalid(DomainError):
    """The invitation is unknown, used, replaced by a newer one, or expired."""

    code = "invitation_invalid"
    status = 400
    title = "The invitation is not valid"


class OperatorExists(Conflict):
    """An operator with that address exists."""

    code = "operator_exists"
    title = "This address belongs to an operator already"


class NotOnThePlatform(RuntimeError):
    """Operators exist in the public schema only."""


class MemberExists(Conflict):
    """Somebody with that address has an account already."""

    code = "member_exists"
    title = "This address belongs to an account already"


def sign_in(
    *,
    email: str,
    password: str,
    code: str | None = None,
    address: str | None = None,
    user_agent: str = "",
    clock: Clock = utc_now,
) -> tuple[Session, str]:
    """Open a session; returns it with its bearer token, which is not kept.

    `code` is a one-time code, which operators need; `address` is the caller's IP. An unknown account
    costs the same work as a known one. Raises TooManyAttempts, SignInUnavailable, SignInRefused,
    OtpRequired.
    """
    user = User.objects.with_email(email).first()
    attempt = throttle.count(
        account=rules.normalise_email(email),
        address=address,
        known_address=lambda: user is not None and _has_signed_in_from(user, address),
    )
    # The hash is verified in every case; only then does anything else count.
    is_right = check_password(password, _stored_hash(user))
    if user is None or not is_right or user.state != "active":
        raise SignInRefused
    if principal_kind() == "operator":
        if not code:
            raise OtpRequired
        if not otp.verify(user=user, code=code, clock=clock):
            raise SignInRefused
    attempt.succeeded()
    return _open_session(user=user, address=address, user_agent=user_agent, now=clock())


def sign_out(*, session: Session, clock: Clock = utc_now) -> None:
    """Revoke one session. Its token is dead from the next request on."""
    Session.objects.filter(id=session.id, revoked_at=None).update(revoked_at=clock())


def sign_out_everywhere(*, user: User, clock: Clock = utc_now) -> int:
    """Revoke every session of the user; returns how many there were."""
    return Session.objects.filter(user=user, revoked_at=None).update(revoked_at=clock())


def sign_everybody_out(*, clock: Clock = utc_now) -> int:
    """Revoke every session of the present schema; returns how many there were. After a restore: those that were
    ended since the backup would live again."""
    return Session.objects.filter(revoked_at=None).update(revoked_at=clock())


def authenticate(*, token: str, clock: Clock = utc_now) -> Session | None:
    """The living session of the token with its user, or None. One query."""
    if not rules.looks_like_token(rules.SESSION_PREFIX, token):
        return None
    now = clock()
    found = Session.objects.alive(at=now).select_related("user")
    session = found.filter(token_hash=rules.hash_token(token)).first()
    if session is not None and now - session.last_seen_at >= SEEN_INTERVAL:
        Session.objects.filter(id=session.id).update(last_seen_at=now)
        session.last_seen_at = now
    return session


@dataclass(frozen=True, slots=True)
class NewOperator:
    """A new operator, and the secret of the one-time codes as an `otpauth://` URL, shown this once."""

    user: User
    otpauth_url: str


def create_operator(*, email: str, password: str, display_name: str = "") -> NewOperator:
    """Make an account of platform staff, which may do nothing yet: `shared.operators` gives it a role.

    Call it in `public_schema()`. Raises NotOnThePlatform elsewhere, InvalidInput (field email), WeakPassword,
    OperatorExists.
    """
    if principal_kind() != "operator":
        raise NotOnThePlatform("operators stand in the public schema; enter public_schema() first")
    email = checked_email(email)
    user = User(email=email, display_name=display_name.strip())
    passwords.check(password=password, user=user)
    user.set_password(password)
    with transaction.atomic():
        if User.objects.with_email(email).exists():
            raise OperatorExists("An operator with this address exists.", field="email")
        user.save(force_insert=True)
        return NewOperator(user=user, otpauth_url=otp.enrol(user=user))


def invite(*, email: str, display_name: str = "", clock: Clock = utc_now) -> tuple[User, str]:
    """Invite a person; returns the account and the invitation's token, shown this once.

    Inviting somebody who has not accepted yet replaces the earlier invitation. Somebody who was
    deactivated comes back when the invitation is accepted, with a new password.
    Raises InvalidInput (field email), MemberExists.
    """
    email = checked_email(email)
    now = clock()
    with transaction.atomic():
        user = User.objects.with_email(email).select_for_update().first()
        if user is None:
            user = _create_invited(email=email, display_name=display_name)
        elif user.state == "active":
            raise MemberExists("Somebody with this address has an account.", field="email")
        user.invitations.filter(accepted_at=None, expires_at__gt=now).update(expires_at=now)
        token = rules.new_token(rules.INVITATION_PREFIX)
        Invitation.objects.create(
            user=user,
            token_hash=rules.hash_token(token),
            created_at=now,
            expires_at=now + INVITATION_LIFETIME,
        )
    return user, token


def accept_invitation(*, token: str, password: str, clock: Clock = utc_now) -> User:
    """Set the first password of the person whom the token invites. Works once.

    Raises InvitationInvalid, WeakPassword.
    """
    now = clock()
    with transaction.atomic():
        invitation = (
            Invitation.objects.select_for_update(of=("self",))
            .select_related("user")
            .filter(token_hash=rules.hash_token(token), accepted_at=None, expires_at__gt=now)
            .first()
        )
        if invitation is None:
            raise InvitationInvalid("Ask for a new one.", field="token")
        user = invitation.user
        passwords.check(password=password, user=user)
        user.set_password(password)
        user.is_active = True
        user.save(update_fields=["password", "is_active"])
        invitation.accepted_at = now
        invitation.save(update_fields=["accepted_at"])
    return user


def deactivate(*, user: User, clock: Clock = utc_now) -> None:
    """Close an account: no sign-in, every session revoked, open invitations void."""
    now = clock()
    with transaction.atomic():
        User.objects.filter(id=user.id).update(is_active=False, password=make_password(None))
        user.is_active = False
        sign_out_everywhere(user=user, clock=clock)
        user.invitations.filter(accepted_at=None, expires_at__gt=now).update(expires_at=now)


def own_session(*, user_id: UUID, session_id: UUID) -> Session:
    """A session by id, if it is the user's own. Raises NotFound."""
    session = Session.objects.filter(id=session_id, user_id=user_id).first()
    if session is None:
        raise NotFound
    return session


def checked_email(email: str) -> str:
    """`email` as it is stored. Raises InvalidInput when it is not an address."""
    email = rules.normalise_email(email)
    try:
        validate_email(email)
        MaxLengthValidator(254)(email)
    except ValidationError as error:
        raise InvalidInput("This is not an e-mail address.", field="email") from error
    return email


def _create_invited(*, email: str, display_name: str) -> User:
    user = User(email=email, display_name=display_name.strip())
    user.set_unusable_password()
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        # Two invitations of one address at the same moment.
        raise MemberExists("Somebody with this address is being invited.", field="email") from error
    return user


def _open_session(*, user: User, address: str | None, user_agent: str, now: datetime) -> tuple[Session, str]:
    token = rules.new_token(rules.SESSION_PREFIX)
    with transaction.atomic():
        session = Session.objects.create(
            user=user,
            token_hash=rules.hash_token(token),
            created_at=now,
            expires_at=now + SESSION_LIFETIME,
            last_seen_at=now,
            address=address,
            user_agent=user_agent[:200],
        )
        User.objects.filter(id=user.id).update(last_login=now)
    return session, token


def _has_signed_in_from(user: User, address: str | None) -> bool:
    return address is not None and Session.objects.filter(user=user, address=address).exists()


def _stored_hash(user: User | None) -> str:
    if user is None or not user.has_usable_password():
        return _hash_of_nothing()
    return user.password


@lru_cache(maxsize=1)
def _hash_of_nothing() -> str:
    """What the password of an unknown account is compared with: it takes as long as a real one."""
    return make_password(rules.new_token("kno"))
