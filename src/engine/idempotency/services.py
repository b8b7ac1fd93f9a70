"""Commands that may be repeated.

A one-transaction command holds a lock on its key, and its answer commits with its effect. A command
that calls a provider commits its key with an intent under a lease, calls, and stores the answer; a
repeat that comes after the lease resumes the intent.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils.encoding import force_bytes

from engine.clock import Clock, utc_now
from engine.errors import DomainError
from engine.idempotency.models import IdempotencyKey
from engine.idempotency.seal import Scope
from engine.principals import Principal
from engine.tenancy.context import key_prefix

KEPT_FOR = timedelta(hours=48)
LEASE = timedelta(seconds=60)
NOBODY = UUID(int=0)
_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?\Z")


class KeyRequired(DomainError):
    """The command creates or moves money and came without a key."""

    code = "idempotency_key_required"
    status = 400
    title = "This request needs an Idempotency-Key header"


class InvalidKey(DomainError):
    """The key is not 1 to 255 printable ASCII characters."""

    code = "idempotency_key_invalid"
    status = 400
    title = "The Idempotency-Key is not valid"


class KeyReused(DomainError):
    """The key was used with another body."""

    code = "idempotency_key_reused"
    status = 422
    title = "The Idempotency-Key was used with another body"


class InProgress(DomainError):
    """The same command is being worked on at this moment."""

    code = "idempotency_in_progress"
    status = 409
    title = "A request with this Idempotency-Key is in progress"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answered: status, bytes and the headers worth repeating."""

    status: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """One request as idempotency sees it. ``body`` is the decoded JSON."""

    principal: Principal | None
    endpoint: str
    key: str
    body: Any

    @property
    def scope(self) -> Scope:
        """Where the key counts."""
        who = f"{self.principal.kind}:{self.principal.id}" if self.principal else "anonymous"
        return Scope(tenant=key_prefix(), principal=who, endpoint=self.endpoint, key=self.key)


def check_key(key: str | None, *, required: bool) -> str | None:
    """The key, or None when none was sent and none is needed. Raises KeyRequired or InvalidKey."""
    if key is None:
        if required:
            raise KeyRequired("Send a new UUID with each new command.", field="Idempotency-Key")
        return None
    if not _KEY.match(key):
        raise InvalidKey("It is 1 to 255 printable ASCII characters.", field="Idempotency-Key")
    return key


def run(*, command: Command, act: Callable[[], Answer], clock: Clock = utc_now) -> Answer:
    """Run a one-transaction command, or give the stored answer of its first run.

    ``act`` runs inside this function's transaction; whatever it raises undoes the command and
    leaves the key unused. Answers from 400 on are not stored and undo the command too.
    Raises InProgress or KeyReused.
    """
    with transaction.atomic():
        known = _locked(command)
        if known is not None:
            return _stored(command, known)
        answer = act()
        if answer.status >= 400:
            transaction.set_rollback(True)
            return answer
        sealed = _sealed(command, answer, _secrets()[0])
        _new_row(command, clock(), status=answer.status, sealed_answer=sealed)
        return answer


def run_in_two_phases(
    *,
    command: Command,
    begin: Callable[[], str],
    finish: Callable[[str], Answer],
    lease: timedelta = LEASE,
    clock: Clock = utc_now,
) -> Answer:
    """Run a command that calls a provider.

    ``begin`` runs in the transaction that commits the key, and answers the id of what it committed
    to do. ``finish`` runs outside any transaction, must be safe to repeat for the same id, and
    answers its present state. When ``finish`` raises, the lease ends and the next repeat resumes.
    Raises InProgress while another run holds the lease, or KeyReused.
    """
    with transaction.atomic():
        known = _locked(command)
        if known is not None and known.status is not None:
            return _stored(command, known)
        if known is None:
            intent = begin()
            known = _new_row(command, clock(), intent=intent, lease_until=clock() + lease)
        else:
            _same_body(command, known)
            _take_lease(known, clock(), lease)
    try:
        answer = finish(known.intent)
    except BaseException:
        _end_lease(known, clock())
        raise
    if answer.status >= 500:
        _end_lease(known, clock())
        return answer
    _store(command, known, answer)
    return answer


def purge(*, older_than: timedelta = KEPT_FOR, clock: Clock = utc_now, limit: int = 1000) -> int:
    """Delete at most ``limit`` keys of this context that are older than ``older_than``.

    Answers how many. Two that purge at once take different rows.
    Raises ValueError below the 24 hours that callers are promised.
    """
    if older_than < timedelta(hours=24):
        raise ValueError("keys are kept for at least 24 hours")
    old = IdempotencyKey.objects.filter(created_at__lt=clock() - older_than)
    with transaction.atomic():
        free = old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit]
        deleted, _ = IdempotencyKey.objects.filter(pk__in=list(free)).delete()
    return deleted


def _secrets() -> list[bytes]:
    """The platform's secret, then those before it."""
    return [force_bytes(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


def _locked(command: Command) -> IdempotencyKey | None:
    """Hold the key until the transaction ends and read its row."""
    scope = command.scope
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [scope.lock_number()])
        row = cursor.fetchone()
    if row is None or not row[0]:
        raise InProgress("Try again in a moment.", retry_after=1)
    return IdempotencyKey.objects.filter(**_identity(command)).first()


def _identity(command: Command) -> dict[str, Any]:
    principal = command.principal
    return {
        "principal_kind": principal.kind if principal else "anonymous",
        "principal_id": principal.id if principal else NOBODY,
        "endpoint": command.endpoint,
        "key_hash": command.scope.key_hash(),
    }


def _new_row(command: Command, now: datetime, **values: Any) -> IdempotencyKey:
    return IdempotencyKey.objects.create(
        **_identity(command),
        body_hash=command.scope.body_hash(_secrets()[0], command.body),
        created_at=now,
        **values,
    )


def _same_body(command: Command, known: IdempotencyKey) -> bytes:
    """The secret under which the body of the first run was this one. Raises KeyReused."""
    for secret in _secrets():
        if bytes(known.body_hash) == command.scope.body_hash(secret, command.body):
            return secret
    # Also when the secret was thrown away: the effect stands, and must not be repeated.
    raise KeyReused("Send a new key with a new command.", field="Idempotency-Key")


def _stored(command: Command, known: IdempotencyKey) -> Answer:
    secret = _same_body(command, known)
    stored = json.loads(command.scope.open(secret, bytes(known.sealed_answer or b"")))
    return Answer(
        status=known.status or 200,
        content=base64.b64decode(stored["content"]),
        headers=stored["headers"],
        replayed=True,
    )


def _sealed(command: Command, answer: Answer, secret: bytes) -> bytes:
    content = base64.b64encode(answer.content).decode()
    plain = json.dumps({"content": content, "headers": dict(answer.headers)}).encode()
    return command.scope.seal(secret, plain)


def _take_lease(known: IdempotencyKey, now: datetime, lease: timedelta) -> None:
    if known.lease_until is not None and known.lease_until > now:
        wait = int((known.lease_until - now).total_seconds()) + 1
        raise InProgress("Try again when the first attempt is over.", retry_after=wait)
    known.lease_until = now + lease
    known.save(update_fields=["lease_until"])


def _end_lease(known: IdempotencyKey, now: datetime) -> None:
    # Only the run that still holds this very lease may end it.
    IdempotencyKey.objects.filter(pk=known.pk, status__isnull=True, lease_until=known.lease_until).update(
        lease_until=now
    )


def _store(command: Command, known: IdempotencyKey, answer: Answer) -> None:
    # A run that outlived its lease finds the other run's answer in place and leaves it there.
    IdempotencyKey.objects.filter(pk=known.pk, status__isnull=True).update(
        status=answer.status, sealed_answer=_sealed(command, answer, _same_body(command, known))
    )
