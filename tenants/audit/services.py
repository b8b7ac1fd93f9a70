"""Writing the audit log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import transaction

from engine import canonical_json, ids, outbox
from engine.api.requests import current_client_address, current_request_id
from engine.chain.log import SealedLog, Verification
from engine.chain.walk import Link, Point
from engine.clock import Clock, utc_now
from engine.errors import InvalidInput
from engine.principals import SYSTEM, Principal
from engine.tenancy.context import OrganizationContext, current_organization, organization
from tenants.audit import exports
from tenants.audit.exports import RESTORED
from tenants.audit.models import Entry, Head, Pending, Seal

LOG = SealedLog(name="audit", rows=Entry, seals=Seal, pending=Pending, heads=Head)

DETAIL_BYTES_MAX = 16_384
EXPORT_PAGE = 500


class DetailTooLarge(ValueError):
    """The detail of an entry is above 16 KiB."""


class UnknownNumber(InvalidInput):
    """No sealed entry has the number behind which somebody wants to go on."""


def write(
    *,
    action: str,
    actor: Principal,
    resource: str,
    detail: Mapping[str, Any] | None = None,
    decision_id: UUID | None = None,
    clock: Clock = utc_now,
) -> Entry:
    """Write an entry in the transaction of the act that it tells of.

    ``action`` is ``<noun>.<verb>``, ``resource`` a public id. ``detail`` holds what an auditor needs to
    understand the act: JSON values, nothing biometric, nothing secret. The request that is being served, and
    what lets the actor act, are noted by themselves.

    Raises DetailTooLarge, engine.canonical_json.NotCanonical, and RuntimeError outside a transaction.
    """
    given = dict(detail or {})
    if len(canonical_json.encode(given)) > DETAIL_BYTES_MAX:
        raise DetailTooLarge(action)
    entry = Entry(
        created_at=clock(),
        action=action,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_display=actor.display,
        resource=resource,
        detail=given,
        decision_id=decision_id,
        request_id=current_request_id(),
        address=current_client_address(),
        through=actor.through,
    )
    LOG.append(entry)
    outbox.send(name="audit.seal", payload={})
    return entry


def seal() -> int:
    """Number everything that is pending; returns how many.

    Raises engine.outbox.Postpone while another sealer is at work.
    """
    return LOG.seal_all()


def resume_restored(*, at: int, backup: str, flow: str) -> None:
    """After a restore: go on above the number ``at`` with an entry that says so. In the caller's transaction."""

    def record_restored(ended_at: int) -> Entry:
        return write(action=RESTORED, actor=SYSTEM, resource=backup, detail={"ended_at": ended_at, "flow": flow})

    LOG.resume(at=at, record=record_restored)


def verify(*, noted: Point | None = None) -> Verification:
    """Walk the chain of this organization's audit log. It has to go through the head `noted`, if one was kept."""
    return LOG.verify(noted=noted)


def export(*, after: int, by: Principal, clock: Clock = utc_now) -> Iterator[bytes]:
    """The sealed entries behind number `after` as a file that proves itself (tenants.audit.exports); `by` is told of.

    It is read page by page while it is consumed, each in the organization's context, which need not be entered
    any more by then. Raises UnknownNumber at once.
    """
    context = current_organization()
    start, head = LOG.before(after), LOG.head()
    if start is None:
        raise UnknownNumber("No entry has this number. Has it left the log?", field="after")
    detail = {"after": start.sequence, "head": head.sequence}
    with transaction.atomic():
        write(action="audit.exported", actor=by, resource=ids.encode("org", context.id), detail=detail, clock=clock)
    return exports.lines(
        organization_id=context.id,
        after=start,
        head=head,
        links=links(context, after=start.sequence, through=head.sequence),
        exported_at=clock(),
    )


def links(context: OrganizationContext, *, after: int, through: int) -> Iterator[Link]:
    """The sealed entries behind `after` up to `through`, each page read in the organization's context."""
    while True:
        with organization(context):
            page = list(islice(LOG.links(after=after, through=through, page=EXPORT_PAGE), EXPORT_PAGE))
        if not page:
            return
        yield from page
        after = page[-1].sequence
