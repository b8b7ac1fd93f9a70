"""Where acts of signing in are written down: an organization's audit log, or the operators' log.

Audit lies above accounts in the order of apps, so it hands its writer in when it starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from django.db import transaction

from engine.clock import Clock, utc_now
from engine.principals import SYSTEM, Principal
from shared.accounts import mails
from shared.accounts.models import User, principal_kind
from shared.operator_log import services as operator_log


class Writer(Protocol):
    """What the audit log of an organization offers."""

    def __call__(
        self, *, action: str, actor: Principal, resource: str, detail: Mapping[str, Any], clock: Clock
    ) -> object: ...


class NoWriter(RuntimeError):
    """No audit log was handed in: nothing can be done unwritten."""


_writer: Writer | None = None


def set_writer(writer: Writer | None) -> Writer | None:
    """Install what writes an organization's audit log, once, at start. Returns the one that was there before."""
    global _writer
    previous, _writer = _writer, writer
    return previous


def record(
    *,
    action: str,
    user: User,
    by: Principal | None = None,
    detail: Mapping[str, Any] | None = None,
    clock: Clock = utc_now,
) -> None:
    """Write an act about an account in the transaction that does it. The account's owner acts, unless `by` says
    who did. Raises NoWriter."""
    actor = by or user.principal
    given = {name: value for name, value in (detail or {}).items() if value not in (None, "")}
    if principal_kind() == "operator":
        operator_log.record(action=action, by=actor, detail={**given, "operator": user.public_id}, clock=clock)
        return
    if _writer is None:
        raise NoWriter("shared.accounts.journal.set_writer was not called at start")
    _writer(action=action, actor=actor, resource=user.public_id, detail=given, clock=clock)


def record_guessing(*, user: User, what: str, address: str | None, clock: Clock = utc_now) -> None:
    """Write that somebody guesses at an account, by the attempt that was one too many. Nobody proved anything,
    so the platform acts."""
    with transaction.atomic():
        mails.post(kind=mails.Kind.GUESSED, about=user.id)
        record(action="sign_in.guessed", user=user, by=SYSTEM, detail={"what": what, "address": address}, clock=clock)
