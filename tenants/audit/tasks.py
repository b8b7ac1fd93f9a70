"""Background work of the audit log."""

from __future__ import annotations

from engine import outbox
from tenants.audit import services


@outbox.handler("audit.seal", transactional=False, coalesce=True)
def seal(*, message: outbox.Message) -> None:
    """Number what has been committed. One run does for every message that waits."""
    services.seal()
