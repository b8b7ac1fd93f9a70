"""How long entries are kept, and how the older ones leave without breaking the chain (docs/adr/0098).

They leave from the front: an export of them is written and read back first, then an entry says up to where they
left and what the hash there was, and only when that entry has its own place in the chain are they dropped. An
organization's role may not drop anything, so the last step is the owner's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from engine import ids, outbox
from engine.chain.walk import Point
from engine.clock import Clock, utc_now
from engine.errors import InvalidInput
from engine.principals import SYSTEM, Principal
from engine.tenancy.context import current_organization
from tenants.audit import exports, services
from tenants.audit.models import RETENTION_DAYS_MIN, Entry, Seal, Setting

RELEASE = "provisioning.release_audit"
"""Handled by the process that holds the owner's login."""

PART_MAX = 5_000
"""Entries that leave at once, as one file and in one transaction."""


@dataclass(frozen=True, slots=True)
class Part:
    """Entries that are to leave: behind `after`, up to `through`."""

    after: Point
    through: Point

    @property
    def name(self) -> str:
        """What its export is called in the blob store.

        With the hash: a restored log may have other entries under the same numbers.
        """
        numbers = f"{self.after.sequence + 1:012}-{self.through.sequence:012}"
        return f"audit/{current_organization().id}/{numbers}-{self.through.hash.hex()[:16]}.ndjson"


def setting() -> Setting:
    """What the organization has chosen; unless it did, entries are kept for ever."""
    return Setting.objects.first() or Setting()


def set_retention(*, days: int | None, by: Principal, clock: Clock = utc_now) -> Setting:
    """Keep entries for so many days, for ever with None. Raises InvalidInput (days)."""
    if days is not None and days < RETENTION_DAYS_MIN:
        raise InvalidInput(f"At least {RETENTION_DAYS_MIN} days, or null for ever.", field="retention_days")
    with transaction.atomic():
        Setting.objects.bulk_create([Setting()], ignore_conflicts=True)
        row = Setting.objects.select_for_update().get()
        detail = {"before": row.retention_days, "after": days}
        row.retention_days, row.generation = days, row.generation + 1
        row.save(update_fields=["retention_days", "generation"])
        services.write(
            action="audit.retention_changed",
            actor=by,
            resource=ids.encode("org", current_organization().id),
            detail=detail,
            clock=clock,
        )
        if days is not None:
            outbox.send(name=RELEASE, payload={"generation": str(row.generation)})
    return row


def due(*, clock: Clock = utc_now) -> Part | None:
    """The oldest entries whose time is over, at most `PART_MAX` of them."""
    days = setting().retention_days
    if days is None:
        return None
    seals = Seal.objects.order_by("sequence")
    kept = seals.filter(row__created_at__gte=clock() - timedelta(days=days)).first()
    over = seals.filter(sequence__lt=kept.sequence) if kept is not None else seals
    last = list(over[:PART_MAX])[-1:]
    after = services.LOG.before(0)
    if not last or after is None:
        return None
    return Part(after=after, through=Point(last[0].sequence, bytes(last[0].hash)))


def export(part: Part, *, clock: Clock = utc_now) -> Iterator[bytes]:
    """The part as a file that proves itself."""
    return exports.lines(
        organization_id=current_organization().id,
        after=part.after,
        head=part.through,
        links=services.links(current_organization(), after=part.after.sequence, through=part.through.sequence),
        exported_at=clock(),
    )


def tell(*, part: Part, location: str, sha256: str, entries: int, clock: Clock = utc_now) -> None:
    """Write into the log that the part leaves and where its export stands, and number that entry."""
    detail = {
        "through": part.through.sequence,
        "hash": part.through.hash.hex(),
        "entries": entries,
        "export": location,
        "sha256": sha256,
    }
    with transaction.atomic():
        services.write(
            action=exports.RELEASED,
            actor=SYSTEM,
            resource=ids.encode("org", current_organization().id),
            detail=detail,
            clock=clock,
        )
    services.seal()


def resume() -> None:
    """Ask again for what is asked for once a day. After a restore: messages of before are gone."""
    chosen = setting()
    if chosen.retention_days is not None:
        outbox.send(name=RELEASE, payload={"generation": str(chosen.generation)})


def told() -> Part | None:
    """Which entries the log itself says have left, while they are still there. That they may is not said by it."""
    last = Seal.objects.filter(row__action=exports.RELEASED).select_related("row").order_by("-sequence").first()
    point = last.row.released() if last is not None else None
    after = services.LOG.before(0)
    if point is None or after is None or not Seal.objects.filter(sequence=point.sequence, hash=point.hash).exists():
        return None
    return Part(after=after, through=point)


def drop(*, through: Point) -> int:
    """Drop what the log says has left. As the owner of the organization's schema, who alone may."""
    with transaction.atomic():
        gone = list(Seal.objects.filter(sequence__lte=through.sequence).values_list("row_id", flat=True))
        Seal.objects.filter(sequence__lte=through.sequence).delete()
        Entry.objects.filter(id__in=gone).delete()
    return len(gone)
