"""The life of an organization as durable, resumable flows.

A flow's row is made in the same transaction as what it works on. Its `step` is the cursor: it
moves in the transaction that follows the step, and every step may run twice. While it runs,
the process holds an advisory lock on a connection of its own, which PostgreSQL releases the
moment the process dies; so whoever runs the flow next goes on at once, and two never run it
together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from engine import ids, outbox
from engine.errors import DomainError
from engine.tenancy.context import public_schema
from provisioning import rules, schemas
from provisioning.models import Flow, FlowKind, FlowStatus
from provisioning.steps import STEPS
from shared.organizations.models import Organization

Progress = Callable[[str, str], None]
"""Called with the step and what happens to it: `started`, `done` or `failed`."""

_ERROR_CHARACTERS_MAX = 500


class FlowBusyError(DomainError):
    code = "flow_busy"
    status = 409
    title = "Another process is running this flow"


def start(*, kind: FlowKind, organization: Organization, parameters: Mapping[str, Any]) -> Flow:
    """Record a flow at its first step, and ask the provisioner to run it.

    Call inside `public_schema()`, in the transaction of what it works on. Raises IntegrityError
    while another flow of this kind runs for the organization.
    """
    flow = Flow.objects.create(
        kind=kind, organization=organization, step=next(iter(STEPS[kind])), parameters=dict(parameters)
    )
    outbox.send(name="provisioning.advance", payload={"flow_id": str(flow.id)})
    return flow


def advance(*, flow_id: UUID, progress: Progress | None = None) -> Flow:
    """Run a flow from its cursor to its end. Needs the owner's login.

    Raises FlowBusyError when another process runs it, and what a step raises; the cursor stays
    before that step, with the error's name beside it, and the same call goes on from there.
    """
    schemas.require_owner_login()
    tell = progress or (lambda step, state: None)
    with _sole_runner(flow_id):
        while True:
            with public_schema():
                flow = Flow.objects.select_related("organization").get(id=flow_id)
            if flow.status == FlowStatus.SUCCEEDED:
                return flow
            tell(flow.step, "started")
            try:
                STEPS[FlowKind(flow.kind)][flow.step](flow)
            except Exception as error:
                tell(flow.step, "failed")
                _record_failure(flow, error)
                raise
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
        Flow.objects.filter(id=flow.id, step=flow.step).update(
            step=following,
            status=FlowStatus.SUCCEEDED if following == rules.DONE else FlowStatus.RUNNING,
            attempts=0,
            last_error="",
        )


def _record_failure(flow: Flow, error: Exception) -> None:
    # The name of the error and, for our own, its text: others may quote what they worked on.
    text = f"{type(error).__name__}: {error}" if isinstance(error, DomainError) else type(error).__name__
    with public_schema():
        Flow.objects.filter(id=flow.id).update(attempts=flow.attempts + 1, last_error=text[:_ERROR_CHARACTERS_MAX])
