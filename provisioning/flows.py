"""The life of an organization as durable, resumable flows.

A flow's row is made in the same transaction as what it works on. Its `step` is the cursor: it
moves in the transaction that follows the step, and every step may run twice. While it runs,
the process holds an advisory lock on a connection of its own, which PostgreSQL releases the
moment the process dies; so whoever runs the flow next goes on at once, and two never run it
together.

A step that has to wait says until when; the flow is then `waiting`, and a delayed message in the
outbox runs that step again when the time has come (docs/adr/0067-a-waiting-flow-is-a-delayed-message.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from engine import ids, outbox
from engine.clock import utc_now
from engine.errors import DomainError
from engine.tenancy.context import public_schema
from provisioning import rules, schemas
from provisioning.models import Flow, FlowKind, FlowStatus
from provisioning.rules import Wait
from provisioning.steps import STEPS
from shared.organizations.models import Organization

Progress = Callable[[str, str], None]
"""Called with the step and what happens to it: `started`, `done`, `waiting` or `failed`."""

OPEN = (FlowStatus.RUNNING, FlowStatus.WAITING)

_ADVANCE = "provisioning.advance"
_ADVANCE_LONG = "provisioning.advance_long"
_LONG = (FlowKind.BACKUP, FlowKind.RESTORE, FlowKind.OFFBOARD)
"""They read or write every row of an organization, in a queue of their own: a new one does not wait for them."""
_ERROR_CHARACTERS_MAX = 500


class FlowBusyError(DomainError):
    code = "flow_busy"
    status = 409
    title = "Another process is running this flow"


def start(*, kind: FlowKind, organization: Organization, parameters: Mapping[str, Any], anywhere: bool = True) -> Flow:
    """Record a flow at its first step, and ask the provisioner to run it.

    One that does not run `anywhere`, because it needs a file of this machine, is left to its caller's `advance`.
    Call inside `public_schema()`, in the transaction of what it works on. Raises IntegrityError
    while another flow of this kind runs for the organization.
    """
    flow = Flow.objects.create(
        kind=kind, organization=organization, step=next(iter(STEPS[kind])), parameters=dict(parameters)
    )
    if anywhere:
        _send(flow)
    return flow


def wake(*, flow: Flow) -> None:
    """Have a waiting flow look again, in the transaction of what it waited for."""
    Flow.objects.filter(id=flow.id, status=FlowStatus.WAITING).update(
        status=FlowStatus.RUNNING, due_at=None, updated_at=utc_now()
    )
    _send(flow)


def cancel(*, flow: Flow) -> bool:
    """End an open flow before its next step. False when it had ended before."""
    return bool(
        Flow.objects.filter(id=flow.id, status__in=OPEN).update(
            status=FlowStatus.CANCELLED, due_at=None, updated_at=utc_now()
        )
    )


def advance(*, flow_id: UUID, progress: Progress | None = None) -> Flow:
    """Run a flow from its cursor to its end, or to where it has to wait. Needs the owner's login.

    Raises FlowBusyError when another process runs it, and what a step raises; the cursor stays
    before that step, with the error's name beside it, and the same call goes on from there.
    """
    schemas.require_owner_login()
    tell = progress or (lambda step, state: None)
    with _sole_runner(flow_id):
        while True:
            with public_schema():
                flow = Flow.objects.select_related("organization").get(id=flow_id)
            if flow.status not in OPEN:
                return flow
            tell(flow.step, "started")
            try:
                waiting = STEPS[FlowKind(flow.kind)][flow.step](flow)
            except Exception as error:
                tell(flow.step, "failed")
                _record_failure(flow, error)
                raise
            if waiting is not None:
                tell(flow.step, "waiting")
                return _wait(flow, waiting)
            tell(flow.step, "done")
            _move_on(flow)


@contextmanager
def _sole_runner(flow_id: UUID) -> Iterator[None]:
    with schemas.owner_connection() as lock:
        row = lock.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [f"flow:{flow_id}"]).fetchone()
        if not row or not row[0]:
            raise FlowBusyError(f"{ids.encode('flow', flow_id)} is being run; look again in a moment.")
        yield


def _move_on(flow: Flow) -> None:
    following = rules.next_step(STEPS[FlowKind(flow.kind)], flow.step)
    with public_schema():
        # Open: a flow that was cancelled during its step stays so.
        Flow.objects.filter(id=flow.id, step=flow.step, status__in=OPEN).update(
            step=following,
            status=FlowStatus.SUCCEEDED if following == rules.DONE else FlowStatus.RUNNING,
            due_at=None,
            attempts=0,
            last_error="",
            updated_at=utc_now(),
        )


def _wait(flow: Flow, waiting: Wait) -> Flow:
    with public_schema(), transaction.atomic():
        Flow.objects.filter(id=flow.id, status__in=OPEN).update(
            status=FlowStatus.WAITING, due_at=waiting.until, attempts=0, last_error="", updated_at=utc_now()
        )
        if waiting.until is not None:
            _send(flow, available_at=waiting.until)
        return Flow.objects.select_related("organization").get(id=flow.id)


def _send(flow: Flow, *, available_at: datetime | None = None) -> None:
    name = _ADVANCE_LONG if flow.kind in _LONG else _ADVANCE
    outbox.send(name=name, payload={"flow_id": str(flow.id)}, available_at=available_at)


def _record_failure(flow: Flow, error: Exception) -> None:
    # The name of the error and, for our own, its text: others may quote what they worked on.
    text = f"{type(error).__name__}: {error}" if isinstance(error, DomainError) else type(error).__name__
    with public_schema():
        Flow.objects.filter(id=flow.id).update(
            attempts=flow.attempts + 1, last_error=text[:_ERROR_CHARACTERS_MAX], updated_at=utc_now()
        )
