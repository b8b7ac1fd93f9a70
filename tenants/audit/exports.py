"""The audit log as a file that proves itself: a line of JSON each, checked without us. No Django.

    {"format": "keystead-audit-export/1", "log": "audit", "organization": "org_..",
     "after": {"sequence", "hash"}, "head": {"sequence", "hash"}, "exported_at"}
    {"sequence", "previous_hash", "hash", "row": {..}}
    ...

`hash` is SHA-256 over the canonical JSON (RFC 8785) of {log, previous_hash, row, sequence}. The first entry goes
on from `after`, the last one is `head`. Files go on from one another: the `head` of one is the `after` of the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from engine import canonical_json, ids
from engine.chain.rules import genesis, moment
from engine.chain.walk import Link, Point, Walk

FORMAT = "keystead-audit-export/1"
LOG = "audit"
RESTORED = "organization.restore"
RELEASED = "audit.released"


class NotAnExport(ValueError):
    """A file is none of these, or lines of it cannot be read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a walk through files found. `broken_at` is the first number that does not hold."""

    organization: str
    after: Point
    head: Point
    entries: int
    broken_at: int | None
    reason: str
    noted_seen: bool

    @property
    def whole(self) -> bool:
        """Whether it begins with the log's very first entry, so that nothing before it has to be trusted."""
        return self.after.sequence == 0


def resumes_after(row: Mapping[str, Any]) -> int | None:
    """The number after which a restored log goes on with this row."""
    if row["action"] != RESTORED:
        return None
    try:
        return int(row["detail"]["ended_at"])
    except (KeyError, TypeError, ValueError):
        # Nothing of ours: its hash will tell.
        return None


def released(row: Mapping[str, Any]) -> Point | None:
    """The place up to which older entries have left, when this row tells of that."""
    if row["action"] != RELEASED:
        return None
    try:
        return Point(int(row["detail"]["through"]), bytes.fromhex(row["detail"]["hash"]))
    except (KeyError, TypeError, ValueError):
        return None


def lines(
    *, organization_id: UUID, after: Point, head: Point, links: Iterable[Link], exported_at: datetime
) -> Iterator[bytes]:
    """The file, line by line."""
    header = {
        "format": FORMAT,
        "log": LOG,
        "organization": ids.encode("org", organization_id),
        "after": _told(after),
        "head": _told(head),
        "exported_at": moment(exported_at),
    }
    yield canonical_json.encode(header) + b"\n"
    for link in links:
        entry = {
            "sequence": link.sequence,
            "previous_hash": link.previous_hash.hex(),
            "hash": link.hash.hex(),
            "row": link.row,
        }
        yield canonical_json.encode(entry) + b"\n"


def verify(files: Iterable[Iterable[bytes]], *, noted: Point | None = None) -> Finding:
    """Walk through files in their order and name the first entry that does not hold.

    `noted` is a head that was kept elsewhere: without one nobody can tell a cut file with a header that was
    made to fit. Raises NotAnExport.
    """
    walk: Walk | None = None
    organization, start, count = "", Point(0, b""), 0
    for file in files:
        rows = iter(file)
        name, after, head = _header(next(rows, b""))
        if walk is None:
            organization, start = name, after
            walk = Walk(log=LOG, start=after, noted=noted)
        if (name, after) != (organization, walk.last):
            reason = "the file does not go on where the one before it ends"
            return _found(organization, start, count, walk, broken=(walk.last.sequence + 1, reason))
        if after.sequence == 0 and after.hash != genesis(log=LOG, organization_id=ids.decode("org", name)):
            return _found(organization, start, count, walk, broken=(1, "it is not this organization's log"))
        for line in rows:
            if not walk.take(_link(line)):
                return _found(organization, start, count, walk)
            count += 1
        if walk.last != head:
            reason = f"the file ends before its head, number {head.sequence}"
            return _found(organization, start, count, walk, broken=(walk.last.sequence + 1, reason))
    if walk is None:
        raise NotAnExport("there is no file")
    walk.finish()
    return _found(organization, start, count, walk)


def _found(
    organization: str, after: Point, count: int, walk: Walk, broken: tuple[int | None, str] | None = None
) -> Finding:
    at, reason = broken or (walk.broken_at, walk.reason)
    return Finding(organization, after, walk.last, count, at, reason, walk.noted_seen)


def _header(line: bytes) -> tuple[str, Point, Point]:
    try:
        found = canonical_json.decode(line)
        if found["format"] != FORMAT or found["log"] != LOG:
            raise NotAnExport(f"the first line is not of the format {FORMAT}")
        ids.decode("org", found["organization"])
        return found["organization"], _point(found["after"]), _point(found["head"])
    except (KeyError, TypeError, ValueError) as error:
        raise NotAnExport(f"the first line is not of the format {FORMAT}") from error


def _link(line: bytes) -> Link:
    try:
        found = canonical_json.decode(line)
        row = found["row"]
        return Link(
            sequence=int(found["sequence"]),
            previous_hash=bytes.fromhex(found["previous_hash"]),
            hash=bytes.fromhex(found["hash"]),
            row=row,
            resumes_after=resumes_after(row),
            released=released(row),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NotAnExport("a line is not an entry") from error


def _point(told: Mapping[str, Any]) -> Point:
    return Point(int(told["sequence"]), bytes.fromhex(told["hash"]))


def _told(point: Point) -> dict[str, Any]:
    return {"sequence": point.sequence, "hash": point.hash.hex()}
