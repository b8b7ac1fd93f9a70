"""A gallery: the references of one organization, modality and model, and who resembles a probe.

`Gallery` is the port. `MemoryGallery` holds half-precision vectors in this process and compares a
probe with all of them. A gallery only proposes: scores and whether somebody may be matched at all
are decided from the rows (see library.py).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias
from uuid import UUID

import numpy as np
import numpy.typing as npt
from usearch.compiled import MetricKind
from usearch.index import search

Floats: TypeAlias = npt.NDArray[np.float32]

# Rounding two unit vectors to half precision changes their product by at most 2**-10 (each component
# by a relative 2**-11, Cauchy-Schwarz over the sum), so a margin of twice that, and a little for
# subnormal components, separates the true first k from everything that is further behind.
ROUNDING: Final = 0.0025
OVERSAMPLING: Final = 4
_FEWEST: Final = 16
_THREADS_FROM: Final = 50_000
_GROWTH: Final = 1.5


class GalleryGone(Exception):
    """The gallery was wiped. Whoever held on to it has to look again: it did not find nobody."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A reference that may resemble the probe; `score` is approximate."""

    template_id: UUID
    score: float


class Gallery(Protocol):
    """References that can be searched, kept up to date person by person. Safe for several threads."""

    dimensions: int

    def __len__(self) -> int:
        """How many references there are."""

    @property
    def nbytes(self) -> int:
        """How much memory of this process it takes."""

    def put(self, person_id: UUID, references: Sequence[tuple[UUID, Floats]]) -> None:
        """Make these (template, vector) the references of a person, in place of all earlier ones."""

    def remove(self, person_id: UUID) -> int:
        """Take a person out; returns how many references that were."""

    def nearest(self, probe: Floats, count: int) -> list[Hit]:
        """At least the `count` references that resemble the probe most, best first."""

    def wipe(self) -> None:
        """Overwrite everything. Every later use raises GalleryGone."""


class MemoryGallery:
    """Half-precision unit vectors in one matrix, searched exactly: every row, no index."""

    def __init__(self, dimensions: int, *, capacity: int = 0) -> None:
        self.dimensions = dimensions
        self._matrix = np.zeros((max(capacity, _FEWEST), dimensions), np.float16)
        self._templates: list[UUID] = []
        self._people: list[UUID] = []
        self._rows: dict[UUID, set[int]] = {}
        self._wiped = False
        self._lock = _ReadersOrWriter()

    def __len__(self) -> int:
        return len(self._templates)

    @property
    def nbytes(self) -> int:
        """The matrix, and about 300 bytes of Python objects per reference."""
        return self._matrix.nbytes + 300 * len(self._templates)

    def put(self, person_id: UUID, references: Sequence[tuple[UUID, Floats]]) -> None:
        """Replace a person's references."""
        with self._changing():
            self._remove(person_id)
            for template_id, vector in references:
                self._append(person_id, template_id, vector)

    def extend(self, references: Sequence[tuple[UUID, UUID]], vectors: Floats) -> None:
        """Add (person, template) pairs while the gallery is being loaded, before anybody knows of it."""
        start = len(self._templates)
        self._reserve(start + len(references))
        self._matrix[start : start + len(references)] = unit(vectors)
        for row, (person_id, template_id) in enumerate(references, start):
            self._name(row, person_id, template_id)

    def remove(self, person_id: UUID) -> int:
        """Take a person out and overwrite the vectors."""
        with self._changing():
            return self._remove(person_id)

    def nearest(self, probe: Floats, count: int) -> list[Hit]:
        """Four times as many as asked for, more where rounding leaves the order open."""
        half = unit(probe).astype(np.float16)
        with self._lock.reading():
            if self._wiped:
                raise GalleryGone
            size = len(self._templates)
            asked = min(size, max(count * OVERSAMPLING, _FEWEST))
            while asked:
                found = search(
                    self._matrix[:size],
                    half,
                    asked,
                    MetricKind.IP,
                    exact=True,
                    threads=0 if size >= _THREADS_FROM else 1,
                )
                scores = 1.0 - found.distances
                if asked == size or scores[count - 1] - scores[-1] > ROUNDING:
                    return [
                        Hit(self._templates[int(row)], float(score))
                        for row, score in zip(found.keys, scores, strict=True)
                    ]
                asked = min(size, asked * OVERSAMPLING)
            return []

    def wipe(self) -> None:
        """Overwrite the vectors."""
        with self._lock.writing():
            self._wiped = True
            self._matrix.fill(0)
            self._templates.clear()
            self._people.clear()
            self._rows.clear()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock.writing():
            if self._wiped:
                raise GalleryGone
            yield

    def _append(self, person_id: UUID, template_id: UUID, vector: Floats) -> None:
        row = len(self._templates)
        self._reserve(row + 1)
        self._matrix[row] = unit(vector)
        self._name(row, person_id, template_id)

    def _name(self, row: int, person_id: UUID, template_id: UUID) -> None:
        self._templates.append(template_id)
        self._people.append(person_id)
        self._rows.setdefault(person_id, set()).add(row)

    def _reserve(self, rows: int) -> None:
        if rows <= len(self._matrix):
            return
        held = len(self._templates)
        grown = np.zeros((max(rows, int(held * _GROWTH)), self.dimensions), np.float16)
        grown[:held] = self._matrix[:held]
        self._matrix.fill(0)
        self._matrix = grown

    def _remove(self, person_id: UUID) -> int:
        rows = sorted(self._rows.pop(person_id, ()), reverse=True)
        for row in rows:
            self._move_last_to(row)
        return len(rows)

    def _move_last_to(self, row: int) -> None:
        last = len(self._templates) - 1
        template, person = self._templates.pop(), self._people.pop()
        if row != last:
            self._matrix[row] = self._matrix[last]
            self._templates[row], self._people[row] = template, person
            rows = self._rows[person]
            rows.discard(last)
            rows.add(row)
        self._matrix[last] = 0


def unit(vectors: Floats) -> Floats:
    """A vector, or each row, at length 1. In float64, where no component over- or underflows."""
    wide = vectors.astype(np.float64)
    norms = np.sqrt(np.einsum("...i,...i->...", wide, wide))
    return (wide / norms[..., np.newaxis]).astype(np.float32)


def cosine(one: Floats, other: Floats) -> float:
    """The cosine similarity of two vectors in clear, -1 to 1, from their unrounded values."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    similarity = float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))
    # Rounded to float32's digits, so that equal vectors of any length tie exactly.
    return round(min(1.0, max(-1.0, similarity)), 7)


class _ReadersOrWriter:
    """Any number of searches, or one change. A waiting change goes before new searches."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._readers = 0
        self._writers_waiting = 0
        self._writing = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._condition:
            self._condition.wait_for(lambda: not self._writing and not self._writers_waiting)
            self._readers += 1
        try:
            yield
        finally:
            with self._condition:
                self._readers -= 1
                self._condition.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._condition:
            self._writers_waiting += 1
            self._condition.wait_for(lambda: not self._writing and not self._readers)
            self._writers_waiting -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._condition:
                self._writing = False
                self._condition.notify_all()
