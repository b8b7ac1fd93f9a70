"""Appending to a sealed log, sealing it, and walking it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from django.db import transaction
from django.db.models import Min
from prometheus_client import Histogram

from engine.chain import rules
from engine.chain.models import AbstractHead, AbstractPending, AbstractSeal, SealedRow
from engine.chain.walk import Link, Point, Walk
from engine.clock import Clock, utc_now
from engine.outbox import Postpone
from engine.tenancy.context import current_organization

logger = logging.getLogger(__name__)

Row = TypeVar("Row", bound=SealedRow)

BATCH = 500
# How long a seal message waits while another sealer works: its own row may have committed too late
# for that one to see it, so it must look again rather than rely on it.
_BUSY_DELAY = timedelta(milliseconds=200)

SEALING_DELAY = Histogram(
    "keystead_sealing_delay_seconds",
    "Age of the oldest row of a batch when it was sealed",
    ["log"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600),
)


class Busy(RuntimeError):
    """Another sealer holds this log's lease."""


@dataclass(frozen=True, slots=True)
class Sealed(Generic[Row]):
    """A row and the number it has just been given."""

    sequence: int
    row: Row


@dataclass(frozen=True, slots=True)
class Verification:
    """What a walk along the chain found.

    ``broken_at`` is the first number that does not hold, None when all do, and ``reason`` says why.
    ``unsealed`` counts committed rows without a seal and ``unsealed_since`` dates the oldest: a short
    tail is normal while the platform is busy. ``noted_seen`` is False when a head that was kept elsewhere
    has left the log with the rows before it, so that nothing can be said about it here.
    """

    sealed: int
    head_hash: bytes
    broken_at: int | None
    reason: str
    unsealed: int
    unsealed_since: datetime | None
    noted_seen: bool = True

    @property
    def intact(self) -> bool:
        """Whether every seal holds. Says nothing about the unsealed tail."""
        return self.broken_at is None


@dataclass(frozen=True, slots=True)
class SealedLog(Generic[Row]):
    """One log of the organization whose context is entered, named by its four tables."""

    name: str
    rows: type[Row]
    seals: type[AbstractSeal]
    pending: type[AbstractPending]
    heads: type[AbstractHead]

    def append(self, row: Row) -> Row:
        """Write ``row`` and its mark in the caller's transaction. It has no number yet."""
        if not transaction.get_connection().in_atomic_block:
            raise RuntimeError(f"a row of {self.name} commits with its act: open a transaction")
        row.save(force_insert=True)
        mark = self.pending(row_id=row.pk, marked_at=row.created_at)  # type: ignore[misc]  # the app's field
        mark.save(force_insert=True)
        return row

    def seal_batch(
        self,
        *,
        limit: int = BATCH,
        clock: Clock = utc_now,
        on_sealed: Callable[[Sequence[Sealed[Row]]], None] | None = None,
    ) -> int:
        """Number and chain up to ``limit`` committed rows in one transaction; returns how many.

        ``on_sealed`` is called inside that transaction: what it writes exists exactly when the seals do.
        Raises Busy while another sealer is at work.
        """
        with transaction.atomic():
            head = self._lease()
            marks = list(self.pending._default_manager.order_by("id")[:limit])
            if not marks:
                return 0
            found = self.rows._default_manager.in_bulk([mark.row_id for mark in marks])
            now = clock()
            seals = [self._next_seal(head, found[mark.row_id], now) for mark in marks]
            self.seals._default_manager.bulk_create(seals)
            head.save(update_fields=["sequence", "hash"])
            self.pending._default_manager.filter(pk__in=[mark.pk for mark in marks]).delete()
            if on_sealed is not None:
                on_sealed([Sealed(seal.sequence, found[seal.row_id]) for seal in seals])
        age = now - min(mark.marked_at for mark in marks)
        SEALING_DELAY.labels(log=self.name).observe(max(0.0, age.total_seconds()))
        return len(seals)

    def seal_all(
        self,
        *,
        limit: int = BATCH,
        on_sealed: Callable[[Sequence[Sealed[Row]]], None] | None = None,
    ) -> int:
        """Seal batch after batch until nothing is pending; for message handlers.

        Raises Postpone while another sealer is at work.
        """
        total = 0
        try:
            while count := self.seal_batch(limit=limit, on_sealed=on_sealed):
                total += count
                if count < limit:
                    break
        except Busy:
            raise Postpone(_BUSY_DELAY, "another sealer is at work") from None
        return total

    def resume(self, *, at: int, record: Callable[[int], Row], clock: Clock = utc_now) -> Sealed[Row]:
        """After a restore: go on above ``at`` with the row that ``record`` appends, before anything that is pending.

        ``record`` is called with the last number before the gap, which its row has to declare (`resumes_after`).
        In the caller's transaction. Raises Busy while another sealer is at work.
        """
        head = self._lease()
        row = record(head.sequence)
        head.sequence = max(head.sequence, at)
        seal = self._next_seal(head, row, clock())
        seal.save(force_insert=True)
        head.save(update_fields=["sequence", "hash"])
        self.pending._default_manager.filter(row_id=row.pk).delete()  # type: ignore[misc]  # the app's field
        return Sealed(seal.sequence, row)

    def verify(self, *, page: int = 1000, noted: Point | None = None) -> Verification:
        """Walk the whole chain, recompute every hash, and report the first that does not hold.

        ``noted`` is a head that was kept elsewhere: the chain has to go through it.
        """
        walk = Walk(log=self.name, start=Point(0, self._genesis()), noted=noted, may_begin_later=True)
        for link in self.links(page=page):
            if not walk.take(link):
                break
        walk.finish()
        if walk.broken_at is None:
            broken_at, reason = self._fault_of_head(walk.last.sequence, walk.last.hash)
        else:
            broken_at, reason = walk.broken_at, walk.reason
        unsealed, since = self._tail()
        return Verification(
            sealed=walk.last.sequence,
            head_hash=walk.last.hash,
            broken_at=broken_at,
            reason=reason,
            unsealed=unsealed,
            unsealed_since=since,
            noted_seen=walk.noted_seen,
        )

    def links(self, *, after: int = 0, through: int | None = None, page: int = 1000) -> Iterator[Link]:
        """The sealed rows in their order, read page by page along the key."""
        sealed = self.seals._default_manager.select_related("row")  # type: ignore[misc]  # the app's field
        if through is not None:
            sealed = sealed.filter(sequence__lte=through)
        while seals := list(sealed.filter(sequence__gt=after).order_by("sequence")[:page]):
            yield from (link_of(seal) for seal in seals)
            after = seals[-1].sequence

    def head(self) -> Point:
        """The end of the chain."""
        head = self.heads._default_manager.first()
        return Point(0, self._genesis()) if head is None else Point(head.sequence, bytes(head.hash))

    def before(self, sequence: int) -> Point | None:
        """Where a reader who has seen ``sequence`` goes on; None when that number is not there.

        Whoever has seen nothing (0) goes on from the genesis, or from where the oldest rows have left.
        """
        seal = self.seals._default_manager.filter(sequence=sequence).first()
        if seal is not None:
            return Point(sequence, bytes(seal.hash))
        first = next(self.links(page=1), None)
        beginning = Point(0, self._genesis()) if first is None else first.before
        return beginning if sequence in {0, beginning.sequence} else None

    def _lease(self) -> AbstractHead:
        heads = self.heads._default_manager
        for _ in range(2):
            head = heads.select_for_update(skip_locked=True).filter(pk=1).first()
            if head is not None:
                return head
            # The first sealing of an organization, unless the head is only locked.
            heads.bulk_create([self.heads(hash=self._genesis())], ignore_conflicts=True)
        raise Busy(self.name)

    def _genesis(self) -> bytes:
        return rules.genesis(log=self.name, organization_id=current_organization().id)

    def _next_seal(self, head: AbstractHead, row: Row, now: datetime) -> AbstractSeal:
        previous = bytes(head.hash)
        head.sequence += 1
        head.hash = rules.link(
            log=self.name,
            sequence=head.sequence,
            previous_hash=previous,
            row=row.sealed_values(),
        )
        return self.seals(  # type: ignore[misc]  # the app's field
            sequence=head.sequence,
            row_id=row.pk,
            previous_hash=previous,
            hash=head.hash,
            sealed_at=now,
        )

    def _fault_of_head(self, last: int, hash_: bytes) -> tuple[int | None, str]:
        head = self.heads._default_manager.first()
        if head is None:
            return (None, "") if last == 0 else (last, "the head is missing")
        if head.sequence > last:
            # A sealer may have committed between the walk and this look; only a gap is a fault.
            newer = self.seals._default_manager.filter(sequence__gt=last)
            if newer.count() == head.sequence - last:
                return None, ""
            return last + 1, f"number {last + 1} is missing from the end"
        if head.sequence < last or bytes(head.hash) != hash_:
            return head.sequence + 1, "the head does not match the last seal"
        return None, ""

    def _tail(self) -> tuple[int, datetime | None]:
        unsealed = self.rows._default_manager.filter(seal__isnull=True)
        return unsealed.count(), unsealed.aggregate(since=Min("created_at"))["since"]


def link_of(seal: Any) -> Link:
    """A seal and its row, as a walk takes them."""
    return Link(
        sequence=seal.sequence,
        previous_hash=bytes(seal.previous_hash),
        hash=bytes(seal.hash),
        row=seal.row.sealed_values(),
        resumes_after=seal.row.resumes_after(),
        released=seal.row.released(),
    )
