"""All galleries of this process: loaded on demand, kept up to date, dropped when they must go.

The order of locks is shelf, then gallery; the library's own lock is held for look-ups only.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import numpy as np

from engine.keys.kms import KmsError
from engine.keys.tree import OrganizationKeyRow, OrganizationKeys
from engine.service_tokens import OrganizationClaims
from matcher import database as db
from matcher import metrics
from matcher.connections import Connection
from matcher.database import UNREACHABLE, Database, KeyRows, Reference
from matcher.galleries import Floats, Gallery, GalleryGone, MemoryGallery, cosine
from matcher.opening import Opener, problem_of
from matcher.problems import Problem
from matcher.references import Shape, fill, opened

logger = logging.getLogger("matcher")

_FEED_PAGE: Final = 1000
_RELOAD_FROM: Final = 5000
_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person who may be the one, scored from the stored template."""

    person_id: UUID
    template_id: UUID
    template_version: int
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search over `gallery_size` references, as of sealed event `sequence`."""

    candidates: list[Candidate]
    gallery_size: int
    sequence: int


@dataclass(slots=True)
class _Shelf:
    """One organization's galleries, and how far its feed was read."""

    organization: OrganizationClaims
    lock: threading.RLock = field(default_factory=threading.RLock)
    galleries: dict[Shape, Gallery] = field(default_factory=dict)
    used_at: dict[Shape, float] = field(default_factory=dict)
    sequence: int = 0
    read_at: float = 0.0
    key: OrganizationKeyRow | None = None


class Library:
    """The galleries of all organizations that this process was asked about."""

    def __init__(
        self,
        *,
        database: Database,
        keys: OrganizationKeys,
        memory_bytes: int,
        feed_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._keys = keys
        self._memory_bytes = memory_bytes
        self._feed_seconds = feed_seconds
        self._clock = clock
        self._lock = threading.Lock()
        # Two loads at a time: each holds a page of ciphertext and wants a processor of its own.
        self._loading = threading.BoundedSemaphore(2)
        self._shelves: dict[UUID, _Shelf] = {}

    def identify(self, organization: OrganizationClaims, *, shape: Shape, probe: Floats, k: int) -> Found:
        """Search a gallery, then read and score the candidates from the database."""
        for _ in range(_ATTEMPTS):
            # A gallery that was dropped between look-up and search says so, and is loaded again.
            with suppress(GalleryGone), metrics.SEARCH_SECONDS.time():
                return self._identify(organization, shape=shape, probe=probe, k=k)
        raise Problem(503, "gallery_busy", "The gallery was dropped again and again; try later.")

    def verify(
        self, organization: OrganizationClaims, *, person_id: UUID, shape: Shape, probe: Floats
    ) -> Candidate | None:
        """Compare with one person's stored templates; None when there is nothing to compare with."""
        with self._database.of(organization) as connection:
            rows = self._checked_keys(connection, organization)
            found = db.references_of_people(connection, organization, [person_id], modality=shape[0], model=shape[1])
        for reference in found:
            _check_dimensions(probe, reference.dimensions)
        candidates = self._scored(rows, found, shape=shape, probe=probe)
        return candidates[0] if candidates else None

    def evict(self, organization: OrganizationClaims, *, person_id: UUID) -> int:
        """Take a person out of every gallery, also of one that is being loaded."""
        shelf = self._shelf(organization)
        with shelf.lock:
            removed = 0
            for gallery in list(shelf.galleries.values()):
                with suppress(GalleryGone):
                    removed += gallery.remove(person_id)
            return removed

    def refresh(self, organization: OrganizationClaims, *, person_id: UUID) -> int:
        """Read a person's rows again in every gallery; returns in how many."""
        shelf = self._shelf(organization)
        with shelf.lock:
            if not shelf.galleries:
                return 0
            with self._database.of(organization) as connection:
                rows = self._checked_keys(connection, organization)
                with Opener(self._keys, rows) as opener:
                    self._reread(shelf, connection, opener, [person_id])
            return len(shelf.galleries)

    def drop(self, organization_id: UUID, *, reason: str) -> None:
        """Overwrite all galleries and keys of an organization."""
        with self._lock:
            shelf = self._shelves.pop(organization_id, None)
        self._keys.forget(organization_id)
        if shelf:
            for shape in list(shelf.galleries):
                self._drop_gallery(shelf, shape, reason=reason)

    def tend(self) -> None:
        """Call about once a second: follow the feeds, and ask for keys whose time is over."""
        for shelf in self._loaded():
            try:
                with shelf.lock, self._database.of(shelf.organization) as connection:
                    rows = self._checked_keys(connection, shelf.organization)
                    self._follow(shelf, connection, rows)
            except Problem as problem:
                if problem.code == UNREACHABLE:
                    # Its schema or role is no longer there: it was offboarded, and nothing of it is kept.
                    self.drop(shelf.organization.id, reason=UNREACHABLE)
                    continue
                # The database may be away; the KMS is asked all the same.
                self._check_held_key(shelf)
                logger.warning("could not follow an organization's feed: %s", problem.code)
            except Exception as error:  # noqa: BLE001  # the organizations after this one are tended all the same
                self._check_held_key(shelf)
                logger.error("following an organization's feed met an unexpected %s", type(error).__name__)
        self._measure()

    def close(self) -> None:
        """Overwrite everything."""
        for organization_id in list(self._shelves):
            self.drop(organization_id, reason="shutdown")
        self._keys.forget()

    def _identify(self, organization: OrganizationClaims, *, shape: Shape, probe: Floats, k: int) -> Found:
        shelf = self._shelf(organization)
        with shelf.lock:
            gallery = self._current(shelf, shape)
            shelf.used_at[shape] = self._clock()
            sequence, size = shelf.sequence, len(gallery)
        if size == 0:
            return Found(candidates=[], gallery_size=0, sequence=sequence)
        _check_dimensions(probe, gallery.dimensions)
        near = [hit.template_id for hit in gallery.nearest(probe, k)]
        with self._database.of(organization) as connection:
            rows = self._checked_keys(connection, organization)
            found = db.references_by_id(connection, organization, near, modality=shape[0], model=shape[1])
        candidates = self._scored(rows, found, shape=shape, probe=probe)
        return Found(candidates=_first(candidates, k), gallery_size=size, sequence=sequence)

    def _current(self, shelf: _Shelf, shape: Shape) -> Gallery:
        """The gallery, loaded and at most `feed_seconds` behind the feed; the shelf's lock is held."""
        if shape in shelf.galleries and not self._is_stale(shelf):
            return shelf.galleries[shape]
        with self._database.of(shelf.organization) as connection:
            rows = self._checked_keys(connection, shelf.organization)
            self._follow(shelf, connection, rows)
            gallery = shelf.galleries.get(shape)
            return self._load(shelf, connection, rows, shape) if gallery is None else gallery

    def _scored(self, rows: KeyRows, found: Iterable[Reference], *, shape: Shape, probe: Floats) -> list[Candidate]:
        """Candidates best first, one per person, scored from the unrounded vectors."""
        best: dict[UUID, Candidate] = {}
        with Opener(self._keys, rows) as opener:
            for reference in found:
                vector = opened(opener, reference, shape)
                if vector is None or len(vector) != len(probe):
                    continue
                score = cosine(probe, vector)
                vector.fill(0)
                held = best.get(reference.person_id)
                if held is None or score > held.score:
                    best[reference.person_id] = Candidate(
                        person_id=reference.person_id,
                        template_id=reference.template_id,
                        template_version=reference.version,
                        score=score,
                    )
        return sorted(best.values(), key=lambda candidate: (-candidate.score, candidate.person_id))

    def _load(self, shelf: _Shelf, connection: Connection, rows: KeyRows, shape: Shape) -> Gallery:
        modality, model = shape
        with self._loading, metrics.LOAD_SECONDS.time(), db.snapshot(connection):
            sequence = db.feed_position(connection)
            count, dimensions = db.gallery_extent(connection, modality=modality, model=model)
            gallery = MemoryGallery(dimensions, capacity=count)
            if gallery.nbytes > self._memory_bytes:
                raise Problem(503, "gallery_too_large", "The gallery does not fit into this matcher's memory.")
            references = db.gallery(connection, shelf.organization, modality=modality, model=model)
            # Closed whatever happens: a COPY that is left open would hold the connection for ever.
            with closing(references), Opener(self._keys, rows) as opener:
                fill(gallery, references, opener, shape)
        if not shelf.galleries:
            shelf.sequence, shelf.read_at = sequence, self._clock()
        shelf.galleries[shape] = gallery
        self._make_room(keep=(shelf, shape))
        return gallery

    def _follow(self, shelf: _Shelf, connection: Connection, rows: KeyRows) -> None:
        """Read on in the feed when the last reading is too old; the shelf's lock is held."""
        if not shelf.galleries or not self._is_stale(shelf):
            return
        now = self._clock()
        people: set[UUID] = set()
        sequence, more = shelf.sequence, True
        while more:
            changes = db.changes_since(connection, sequence, limit=_FEED_PAGE)
            people.update(person for person in changes.people if person is not None)
            sequence, more = changes.sequence, changes.more
            if None in changes.people or len(people) > _RELOAD_FROM:
                for shape in list(shelf.galleries):
                    self._drop_gallery(shelf, shape, reason="reload")
                return
        if people:
            with Opener(self._keys, rows) as opener:
                self._reread(shelf, connection, opener, sorted(people))
        shelf.sequence, shelf.read_at = sequence, now

    def _is_stale(self, shelf: _Shelf) -> bool:
        return self._clock() - shelf.read_at >= self._feed_seconds

    def _reread(self, shelf: _Shelf, connection: Connection, opener: Opener, people: list[UUID]) -> None:
        for shape in list(shelf.galleries):
            vectors: dict[UUID, list[tuple[UUID, Floats]]] = defaultdict(list)
            found = db.references_of_people(connection, shelf.organization, people, modality=shape[0], model=shape[1])
            for reference in found:
                vector = opened(opener, reference, shape)
                if vector is not None:
                    vectors[reference.person_id].append((reference.template_id, vector))
            gallery = self._fitting(shelf, shape, [vector for each in vectors.values() for _, vector in each])
            for person in people:
                fitting = [each for each in vectors.get(person, ()) if len(each[1]) == gallery.dimensions]
                with suppress(GalleryGone):
                    gallery.put(person, fitting)

    def _fitting(self, shelf: _Shelf, shape: Shape, vectors: list[Floats]) -> Gallery:
        """The gallery; a new one when it was empty and took nobody's length for its own."""
        gallery = shelf.galleries[shape]
        if vectors and len(gallery) == 0 and len(vectors[0]) != gallery.dimensions:
            gallery = shelf.galleries[shape] = MemoryGallery(len(vectors[0]))
        return gallery

    def _checked_keys(self, connection: Connection, organization: OrganizationClaims) -> KeyRows:
        """The organization's key rows, of which the active one opens now; else everything is dropped."""
        rows = db.organization_keys(connection, organization)
        try:
            active = rows.active
        except Problem:
            self.drop(organization.id, reason="key")
            raise
        try:
            self._keys.get(active)
        except KmsError as error:
            self.drop(organization.id, reason="key")
            raise problem_of(error) from error
        self._shelf(organization).key = active
        return rows

    def _check_held_key(self, shelf: _Shelf) -> None:
        if shelf.key is None:
            return
        try:
            self._keys.get(shelf.key)
        except KmsError:
            self.drop(shelf.organization.id, reason="key")

    def _shelf(self, organization: OrganizationClaims) -> _Shelf:
        with self._lock:
            shelf = self._shelves.get(organization.id)
            if shelf is not None and shelf.organization == organization:
                return shelf
            # A restored copy was switched in: another schema, of which nothing is known yet.
            made = self._shelves[organization.id] = _Shelf(organization)
        if shelf is not None:
            for shape in list(shelf.galleries):
                self._drop_gallery(shelf, shape, reason="moved")
        return made

    def _make_room(self, *, keep: tuple[_Shelf, Shape]) -> None:
        """Drop the galleries that were not used for longest, until the rest fits."""
        held = [
            (shelf.used_at.get(shape, 0.0), shelf, shape, gallery.nbytes)
            for shelf in self._loaded()
            for shape, gallery in list(shelf.galleries.items())
        ]
        total = sum(each[3] for each in held)
        for _, shelf, shape, nbytes in sorted(held, key=lambda each: each[0]):
            if total <= self._memory_bytes:
                return
            if (shelf, shape) != keep:
                self._drop_gallery(shelf, shape, reason="memory")
                total -= nbytes

    def _drop_gallery(self, shelf: _Shelf, shape: Shape, *, reason: str) -> None:
        """Without the shelf's lock, which a load may hold for seconds: searches notice the wipe."""
        gallery = shelf.galleries.pop(shape, None)
        shelf.used_at.pop(shape, None)
        if gallery is not None:
            gallery.wipe()
            metrics.DROPPED.labels(reason=reason).inc()

    def _loaded(self) -> list[_Shelf]:
        with self._lock:
            return [shelf for shelf in self._shelves.values() if shelf.galleries]

    def _measure(self) -> None:
        galleries = [gallery for shelf in self._loaded() for gallery in list(shelf.galleries.values())]
        metrics.GALLERIES.set(len(galleries))
        metrics.GALLERY_BYTES.set(sum(gallery.nbytes for gallery in galleries))


def _first(candidates: list[Candidate], k: int) -> list[Candidate]:
    """The first k, and whoever shares the last place with exactly the same score."""
    if len(candidates) <= k:
        return candidates
    return [each for each in candidates if each.score >= candidates[k - 1].score]


def _check_dimensions(probe: Floats, dimensions: int) -> None:
    if len(probe) != dimensions:
        raise Problem(
            422,
            "dimension_mismatch",
            f"Templates of this modality and model have {dimensions} dimensions, not {len(probe)}.",
            field="vector",
        )


def as_vector(raw: bytes) -> Floats:
    """The vector of checked bytes (little-endian float32)."""
    return np.frombuffer(raw, "<f4")
