"""Background work of the event log."""

from __future__ import annotations

from engine import outbox
from tenants.events import services


@outbox.handler("events.seal", transactional=False, coalesce=True)
def seal(*, message: outbox.Message) -> None:
    """Number what has been committed. One run does for every message that waits."""
    services.seal()
