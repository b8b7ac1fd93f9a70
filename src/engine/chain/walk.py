"""Walking along a chain, in a database or in a file. No Django."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.chain import rules


@dataclass(frozen=True, slots=True)
class Point:
    """A place in a chain: a number and the hash of its seal. Who notes one can later tell that nothing was cut off."""

    sequence: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> Point:
        """The point that `str` has written. Raises ValueError."""
        number, _, digest = text.partition(":")
        found = cls(int(number), bytes.fromhex(digest))
        if found.sequence < 0 or len(found.hash) != rules.HASH_BYTES:
            raise ValueError(text)
        return found


@dataclass(frozen=True, slots=True)
class Link:
    """A seal with what it vouches for.

    ``resumes_after`` is the number after which a restored log says that it goes on; ``released`` the place
    up to which the row says that older rows have left.
    """

    sequence: int
    previous_hash: bytes
    hash: bytes
    row: Mapping[str, Any]
    resumes_after: int | None = None
    released: Point | None = None

    @property
    def before(self) -> Point:
        """Where the chain has to be for this link to follow."""
        return Point(self.sequence - 1 if self.resumes_after is None else self.resumes_after, self.previous_hash)


class Walk:
    """Takes link after link and stops at the first that does not hold.

    ``start`` is where the chain has to go on from. A chain whose oldest rows may have left starts at
    ``genesis`` with ``may_begin_later``: then one of its own links has to say that they did, and up to where.
    """

    def __init__(self, *, log: str, start: Point, noted: Point | None = None, may_begin_later: bool = False) -> None:
        self.log = log
        self.last = start
        self.broken_at: int | None = None
        self.reason = ""
        self.noted_seen = noted is None or noted == start
        self._noted = noted
        self._may_begin_later = may_begin_later
        self._left: Point | None = None
        self._explained = False

    def take(self, link: Link) -> bool:
        """Whether the link holds. After one that does not, the walk is over."""
        if self._may_begin_later:
            self._begin(link)
        reason = self._fault(link)
        if reason:
            # What is missing is named by its own number, everything else by the link's.
            self._break(self.last.sequence + 1, reason)
            return False
        self.last = Point(link.sequence, link.hash)
        self._explained = self._explained or (self._left is not None and link.released == self._left)
        if self._noted is not None and self._noted.sequence == link.sequence:
            self.noted_seen = True
            if self._noted.hash != link.hash:
                self._break(link.sequence, "it is not the entry that was noted under this number")
                return False
        return True

    def finish(self) -> None:
        """Look at what only the end can tell: what is missing from either side."""
        if self.broken_at is not None:
            return
        if self._left is not None and not self._explained:
            self._break(1, f"numbers 1 to {self._left.sequence} are missing, and no later entry says that they left")
        elif self._noted is not None and self.last.sequence < self._noted.sequence:
            self._break(
                self.last.sequence + 1,
                f"number {self.last.sequence + 1} is missing from the end: {self._noted.sequence} was noted",
            )

    def _begin(self, link: Link) -> None:
        self._may_begin_later = False
        if link.before.sequence > self.last.sequence:
            self.last = self._left = link.before
            if self._noted is not None and self._noted.sequence == self.last.sequence:
                self.noted_seen = self._noted.hash == self.last.hash

    def _fault(self, link: Link) -> str:
        last = self.last
        if link.sequence != last.sequence + 1 and not (
            link.sequence > last.sequence and link.resumes_after == last.sequence
        ):
            return f"number {last.sequence + 1} is missing"
        if link.previous_hash != last.hash:
            return "it does not follow the seal before it"
        recomputed = rules.link(log=self.log, sequence=link.sequence, previous_hash=link.previous_hash, row=link.row)
        return "" if recomputed == link.hash else "the row was changed after it was sealed"

    def _break(self, at: int, reason: str) -> None:
        self.broken_at, self.reason = at, reason
