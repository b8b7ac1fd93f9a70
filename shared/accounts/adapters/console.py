"""Mails on standard error, for development: whoever starts the platform there reads them."""

from __future__ import annotations

import sys
from typing import TextIO

from shared.accounts.adapters.base import Mail, MailRefused


class ConsoleMailer:
    """Writes mails out. Where `shows_text` is off, what stands in them stays unseen: it may be a token."""

    def __init__(self, *, shows_text: bool, stream: TextIO | None = None) -> None:
        self._shows_text = shows_text
        self._stream = stream

    def send(self, mail: Mail) -> None:
        if "\n" in mail.to + mail.subject or "\r" in mail.to + mail.subject or "@" not in mail.to:
            raise MailRefused("the address or the subject is malformed")
        text = mail.text if self._shows_text else "(set KEYSTEAD_MAIL_URL to send mails; this one is lost)\n"
        stream = self._stream or sys.stderr
        stream.write(f"--- mail to {mail.to}: {mail.subject}\n{text.rstrip()}\n---\n")
        stream.flush()
