"""Making accounts: inviting people and operators, and closing accounts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, validate_email
from django.db import IntegrityError, transaction

from engine import ids
from engine.clock import Clock, utc_now
from engine.errors import Conflict, DomainError, InvalidInput
from shared.accounts import (
    ceremonies,
    derived,
    journal,
    known_devices,
    mails,
    otp,
    passwords,
    rules,
    second_factors,
    sessions,
)
from shared.accounts.models import Invitation, User, principal_kind

INVITATION_LIFETIME = timedelta(days=7)

_unlink: Callable[[User], None] | None = None


def set_unlinker(unlink: Callable[[User], None]) -> None:
    """Install what takes a member's accounts at identity providers away, once, at start: they lie above accounts."""
    global _unlink
    _unlink = unlink


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
    """Invite a person by mail; returns the account and the invitation's token, shown this once.

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
        invitation_id = ids.uuid7()
        token = derived.token(rules.INVITATION_PREFIX, invitation_id)
        Invitation.objects.create(
            id=invitation_id,
            user=user,
            token_hash=rules.hash_token(token),
            created_at=now,
            expires_at=now + INVITATION_LIFETIME,
        )
        mails.post(kind=mails.Kind.INVITATION, about=invitation_id)
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
        user.is_active, user.joined_at = True, now
        user.save(update_fields=["password", "is_active", "joined_at"])
        invitation.accepted_at = now
        invitation.save(update_fields=["accepted_at"])
        journal.record(action="invitation.accepted", user=user, clock=clock)
    return user


def join_by_provider(*, email: str, clock: Clock = utc_now) -> User | None:
    """Accept the open invitation of who proved the address at the organization's identity provider; None when
    nobody waits under it. An account that is in use is never found this way. In the caller's transaction."""
    now = clock()
    user = User.objects.with_email(email).select_for_update().first()
    if user is None or user.state != "invited":
        return None
    if not user.invitations.filter(accepted_at=None, expires_at__gt=now).update(accepted_at=now):
        return None
    user.joined_at = now
    user.save(update_fields=["joined_at"])
    journal.record(action="invitation.accepted", user=user, detail={"by": "identity_provider"}, clock=clock)
    return user


def deactivate(*, user: User, clock: Clock = utc_now) -> None:
    """Close an account: no sign-in, every session revoked, open invitations void, and nothing left that signs in
    beside a password, since the account may be invited again."""
    now = clock()
    with transaction.atomic():
        User.objects.filter(id=user.id).update(is_active=False, password=make_password(None))
        user.is_active = False
        sessions.sign_out_everywhere(user=user, clock=clock)
        ceremonies.end_all(user=user, clock=clock)
        known_devices.forget_all(user=user)
        second_factors.remove_all(user=user)
        if _unlink is not None and principal_kind() == "member":
            _unlink(user)
        user.invitations.filter(accepted_at=None, expires_at__gt=now).update(expires_at=now)


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
