"""Which adapter sends mails."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from shared.accounts.adapters.base import Mailer
from shared.accounts.adapters.console import ConsoleMailer
from shared.accounts.adapters.smtp import SmtpMailer


def _console(_: SplitResult) -> Mailer:
    return ConsoleMailer(shows_text=settings.IS_DEVELOPMENT)


def _smtp(url: SplitResult) -> Mailer:
    return SmtpMailer(url, sender=settings.MAIL_FROM)


_ADAPTERS: dict[str, Callable[[SplitResult], Mailer]] = {"console": _console, "smtp": _smtp, "smtps": _smtp}


def mailer() -> Mailer:
    """The adapter that KEYSTEAD_MAIL_URL names."""
    url = urlsplit(settings.MAIL_URL)
    return _ADAPTERS[url.scheme](url)
