"""What people are written, and when. The act commits a message; a worker makes the mail and sends it.

So asking for a reset takes as long for an address that nobody has as for any other, and a mail server that is
away holds nobody up.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import structlog
from django.conf import settings

from engine import outbox
from engine.clock import Clock, utc_now
from engine.tenancy.context import NoOrganization, current_organization
from shared.accounts import adapters, derived, rules
from shared.accounts.adapters.base import Mail, MailRefused
from shared.accounts.models import Ceremony, Invitation, User

log = structlog.get_logger("keystead.accounts")

MESSAGE = "accounts.mail"


class Kind(StrEnum):
    """Which mail."""

    INVITATION = "invitation"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - the name of a mail
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of a mail
    SECOND_FACTOR_ADDED = "second_factor_added"
    SECOND_FACTOR_REMOVED = "second_factor_removed"
    SECOND_FACTORS_RESET = "second_factors_reset"
    GUESSED = "guessed"


@dataclass(frozen=True, slots=True)
class _Letter:
    subject: str
    text: str


_FOOTER = "\n\n--\n{place}, {url}\n"
_NOT_YOU = "If that was not you, reset your password now and tell whoever runs {place} for you."
_LETTERS = {
    Kind.INVITATION: _Letter(
        "You are invited to {place}",
        "Somebody at {place} has invited you. Set your password here, within seven days:\n\n{link}",
    ),
    Kind.PASSWORD_RESET: _Letter(
        "Reset your password at {place}",
        "Somebody, you we hope, asked to reset your password at {place}. Set a new one within an hour:\n\n{link}\n\n"
        "If that was not you, do nothing: your password stays as it is.",
    ),
    Kind.PASSWORD_CHANGED: _Letter(
        "Your password at {place} was changed", f"Your password was changed, and you were signed out. {_NOT_YOU}"
    ),
    Kind.SECOND_FACTOR_ADDED: _Letter("A second factor was added at {place}", f"It is needed from now on. {_NOT_YOU}"),
    Kind.SECOND_FACTOR_REMOVED: _Letter(
        "A second factor was removed at {place}", f"It opens nothing any more. {_NOT_YOU}"
    ),
    Kind.SECOND_FACTORS_RESET: _Letter(
        "Your second factors at {place} were reset",
        "An admin took your second factors away, and you were signed out. Add a new one when you sign in.",
    ),
    Kind.GUESSED: _Letter(
        "Somebody tries to sign in as you at {place}",
        "Many wrong passwords or codes were tried with your address. Where you usually sign in you still can. "
        "If it was codes, somebody knows your password: change it.",
    ),
}
_PATHS = {
    Kind.INVITATION: ("accept-invitation", rules.INVITATION_PREFIX),
    Kind.PASSWORD_RESET: ("reset-password", rules.CEREMONY_PREFIX),
}


def post(*, kind: Kind, about: UUID) -> None:
    """Let a mail be sent once the transaction has committed. `about` is the user's id, or the id of the row whose
    token it brings: an invitation, or the ceremony of a reset."""
    outbox.send(name=MESSAGE, payload={"kind": kind, "about": str(about)})


def deliver(*, kind: Kind, about: UUID, clock: Clock = utc_now) -> None:
    """Make the mail and hand it over; nothing when what it is about is over. Calls the mail server, so in no
    transaction. Raises MailNotSent."""
    user = _addressee(kind, about, clock)
    if user is None:
        return
    place, url = _place()
    link = ""
    if kind in _PATHS:
        path, prefix = _PATHS[kind]
        link = f"{url}/{path}#{derived.token(prefix, about)}"
    letter = _LETTERS[kind]
    words = {"place": place, "url": url, "link": link}
    mail = Mail(to=user.email, subject=letter.subject.format(**words), text=(letter.text + _FOOTER).format(**words))
    try:
        adapters.mailer().send(mail)
    except MailRefused as refused:
        log.warning("accounts.mail_refused", kind=kind, user=str(user.id), reason=str(refused))


def _addressee(kind: Kind, about: UUID, clock: Clock) -> User | None:
    if kind is Kind.INVITATION:
        open_ = Invitation.objects.select_related("user").filter(accepted_at=None, expires_at__gt=clock())
        invitation = open_.filter(id=about).first()
        return invitation.user if invitation else None
    if kind is Kind.PASSWORD_RESET:
        wanted = Ceremony.objects.select_related("user").filter(ended_at=None, expires_at__gt=clock())
        ceremony = wanted.filter(id=about).first()
        return ceremony.user if ceremony else None
    return User.objects.filter(id=about).first()


def _place() -> tuple[str, str]:
    try:
        organization = current_organization()
    except NoOrganization:
        port = f":{settings.BASE_PORT}" if settings.BASE_PORT else ""
        return "Keystead", f"{settings.BASE_SCHEME}://{settings.PLATFORM_HOST}{port}"
    return organization.slug, organization.issuer
