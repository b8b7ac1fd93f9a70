"""Background work of accounts."""

from __future__ import annotations

from uuid import UUID

from engine import outbox
from shared.accounts import mails


@outbox.handler(mails.MESSAGE, transactional=False)
def send_mail(*, message: outbox.Message) -> None:
    """Send one mail. After a crash it may go out twice."""
    mails.deliver(kind=mails.Kind(message.payload["kind"]), about=UUID(message.payload["about"]))
