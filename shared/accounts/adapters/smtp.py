"""Mails by SMTP (RFC 5321), under TLS unless the server is on this machine."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import SplitResult, unquote

from shared.accounts.adapters.base import Mail, MailNotSent, MailRefused

TIMEOUT_S = 20
_PERMANENT = range(500, 600)


class SmtpMailer:
    """`smtps://user:password@host:465`, or `smtp://...:587`, which demands STARTTLS; `smtp://...?tls=off` does not."""

    def __init__(self, url: SplitResult, *, sender: str, context: ssl.SSLContext | None = None) -> None:
        self._url = url
        self._sender = sender
        self._context = context or ssl.create_default_context()

    def send(self, mail: Mail) -> None:
        try:
            message = self._message(mail)
        except ValueError as error:
            # A line break in an address or a subject would be a header of somebody else's.
            raise MailRefused("the address or the subject is malformed") from error
        try:
            with self._connected() as server:
                server.send_message(message, from_addr=self._sender, to_addrs=[mail.to])
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            if all(code in _PERMANENT for code in codes):
                raise MailRefused(f"the server refused the address ({codes[0]})") from error
            raise MailNotSent(f"the server put the address off ({codes[0]})") from error
        except smtplib.SMTPResponseException as error:
            if error.smtp_code in _PERMANENT and isinstance(error, smtplib.SMTPDataError):
                raise MailRefused(f"the server refused the mail ({error.smtp_code})") from error
            raise MailNotSent(f"the server answered {error.smtp_code}") from error
        except (smtplib.SMTPException, OSError) as error:
            raise MailNotSent(type(error).__name__) from error

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = mail.to
        message["Subject"] = mail.subject
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text)
        if "@" not in mail.to:
            raise ValueError("not an address")
        return message

    def _connected(self) -> smtplib.SMTP:
        host = self._url.hostname or ""
        server: smtplib.SMTP
        if self._url.scheme == "smtps":
            server = smtplib.SMTP_SSL(host, self._url.port or 465, timeout=TIMEOUT_S, context=self._context)
        else:
            server = smtplib.SMTP(host, self._url.port or 587, timeout=TIMEOUT_S)
        try:
            if self._url.scheme == "smtp" and "tls=off" not in self._url.query:
                server.starttls(context=self._context)
            if self._url.username:
                server.login(unquote(self._url.username), unquote(self._url.password or ""))
        except BaseException:
            server.close()
            raise
        return server
