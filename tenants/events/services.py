"""Recording events and giving them their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from engine import ids, outbox
from engine.chain.log import Sealed, SealedLog, Verification
from engine.clock import Clock, utc_now
from engine.tenancy.context import current_organization
from tenants.events import rules
from tenants.events.events import Event as Fact
from tenants.events.events import OrganizationRestored
from tenants.events.models import Event, Head, Pending, Seal

LOG = SealedLog(name="events", rows=Event, seals=Seal, pending=Pending, heads=Head)


@dataclass(frozen=True, slots=True)
class SealedEvent:
    """An event that has just got its number."""

    id: UUID
    sequence: int
    type: str
    body: str


Subscriber = Callable[[Sequence[SealedEvent]], None]

_subscribers: list[Subscriber] = []


class EventTooLarge(ValueError):
    """An event's body is above 64 KiB: it holds content where it should hold an id."""


def subscribe(subscriber: Subscriber) -> None:
    """Call ``subscriber`` with each batch of events, in the transaction that seals them.

    For the apps above this one; what the subscriber writes exists exactly when the seals do.
    """
    if subscriber not in _subscribers:
        _subscribers.append(subscriber)


def record(*, event: Fact, clock: Clock = utc_now) -> Event:
    """Write a fact in the transaction of its act; it is numbered, listed and delivered afterwards.

    Raises EventTooLarge, and RuntimeError outside a transaction.
    """
    created_at = clock()
    event_id = ids.uuid7()
    body = rules.render(
        type=event.type,
        schema_version=event.schema_version,
        data=event.body(),
        event_id=ids.encode(Event.id_prefix, event_id),
        organization_id=ids.encode("org", current_organization().id),
        created_at=created_at,
    )
    if len(body.encode()) > rules.BODY_BYTES_MAX:
        raise EventTooLarge(event.type)
    row = Event(
        id=event_id,
        created_at=created_at,
        type=event.type,
        api_version=rules.API_VERSION,
        schema_version=event.schema_version,
        body=body,
    )
    LOG.append(row)
    outbox.send(name="events.seal", payload={})
    return row


def seal() -> int:
    """Number everything that is pending and tell the subscribers; returns how many.

    Raises engine.outbox.Postpone while another sealer is at work.
    """
    return LOG.seal_all(on_sealed=_tell)


def resume_restored(*, at: int, backup: str, flow: str) -> SealedEvent:
    """After a restore: go on above the number ``at`` with an event that says so, before anything that is pending.

    In the caller's transaction. ``backup`` and ``flow`` are public ids. No subscriber is called.
    """

    def record_restored(ended_at: int) -> Event:
        return record(event=OrganizationRestored(backup=backup, flow=flow, ended_at=ended_at))

    sealed = LOG.resume(at=at, record=record_restored)
    return SealedEvent(sealed.row.id, sealed.sequence, sealed.row.type, sealed.row.body)


def tells_of_restore(*, flow: str) -> bool:
    """Whether `resume_restored` was done for this flow."""
    return Event.objects.filter(type=OrganizationRestored.type, body__contains=f'"{flow}"').exists()


def verify() -> Verification:
    """Walk the chain of this organization's events."""
    return LOG.verify()


def _tell(batch: Sequence[Sealed[Event]]) -> None:
    events = [SealedEvent(each.row.id, each.sequence, each.row.type, each.row.body) for each in batch]
    for subscriber in _subscribers:
        subscriber(events)
