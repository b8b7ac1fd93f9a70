"""The port through which people are written to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to one person. The text may hold a token, so neither is ever logged."""

    to: str
    subject: str
    text: str = field(repr=False)


class MailNotSent(Exception):
    """Nobody took the mail. Sending it again later may help."""


class MailRefused(Exception):
    """The address, or the mail, was refused for good. `reason` holds nothing of the text."""


class Mailer(Protocol):
    """Hands a mail over."""

    def send(self, mail: Mail) -> None:
        """Returns once somebody has taken the mail. Raises MailNotSent, MailRefused."""
