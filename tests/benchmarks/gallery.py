"""How fast a gallery opens, and is searched, beside a plain float32 matrix in numpy.

    make bench NAME=gallery

100,000 templates of 512 dimensions, each sealed under a person key of its own: unwrap the person
key, open the template, make the half-precision row. Then one probe against all of them, with the
first five proven exact; the stock design is `matrix @ probe` and argpartition over float32.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import numpy as np
import numpy.typing as npt

from engine.keys import contexts, envelope, tree
from engine.keys.adapters.file import FileKms, create_key
from engine.keys.tree import OrganizationKeys
from matcher.database import KeyRows, Reference
from matcher.galleries import MemoryGallery
from matcher.opening import Opener
from matcher.references import fill
from tests.benchmarks.interleaved import Ratio, median_ratio, report, rounds, spread

SIZE, DIMENSIONS, NEAREST, SEARCHES, ROUNDS = 100_000, 512, 5, 20, 11
MODALITY, MODEL = "face", "bench"


class Sealed:
    """An organization whose people are sealed as they are asked for, a page at a time."""

    def __init__(self, folder: Path, vectors: npt.NDArray[np.float32]) -> None:
        create_key(folder)
        kms = FileKms(folder)
        self.keys = OrganizationKeys(kms)
        self.vectors = vectors
        row = tree.new_organization_key(kms, key_id=uuid4(), organization_id=uuid4(), purpose="biometric", version=1)
        self.rows = KeyRows({1: row}, 1)

    def page(self, start: int, count: int) -> list[Reference]:
        """The sealed references of some people, as the database would give them."""
        return [self._reference(number) for number in range(start, min(start + count, len(self.vectors)))]

    def _reference(self, number: int) -> Reference:
        person_id = UUID(int=number)
        key = tree.new_person_key(self.keys, self.rows.active, key_id=uuid4(), person_id=person_id)
        context = contexts.template(
            organization_id=key.organization_id,
            person_id=person_id,
            modality=MODALITY,
            model=MODEL,
            version=1,
            key_id=key.id,
        )
        held = tree.open_person_key(self.keys, self.rows.active, key)
        with held.use() as material:
            sealed = envelope.seal(material, self.vectors[number].tobytes(), key=key.name, context=context)
        return Reference(
            template_id=person_id,
            person_id=person_id,
            version=1,
            dimensions=DIMENSIONS,
            sealed=sealed,
            organization_key_version=1,
            person_key=key,
        )


def load(sealed: Sealed) -> tuple[MemoryGallery, float]:
    """Open everything into a gallery; the time is that of opening alone, not of sealing the input."""
    gallery, seconds, page = MemoryGallery(DIMENSIONS, capacity=SIZE), 0.0, 10_000
    for start in range(0, SIZE, page):
        references = sealed.page(start, page)
        _say(f"sealed {start + len(references):,} of {SIZE:,}")
        began = time.perf_counter()
        with Opener(sealed.keys, sealed.rows) as opener:
            fill(gallery, references, opener, (MODALITY, MODEL))
        seconds += time.perf_counter() - began
    return gallery, seconds


def per_second(search: Callable[[npt.NDArray[np.float32]], object], probes: npt.NDArray[np.float32]) -> float:
    began = time.perf_counter()
    for probe in probes:
        search(probe)
    return len(probes) / (time.perf_counter() - began)


def stock(matrix: npt.NDArray[np.float32]) -> Callable[[npt.NDArray[np.float32]], list[int]]:
    """Cosine similarity over unit rows, as one writes it with numpy."""

    def search(probe: npt.NDArray[np.float32]) -> list[int]:
        scores = matrix @ (probe / np.linalg.norm(probe))
        best = np.argpartition(-scores, NEAREST)[:NEAREST]
        return [int(row) for row in best[np.argsort(-scores[best])]]

    return search


def disagreements(
    gallery: MemoryGallery, search: Callable[[npt.NDArray[np.float32]], list[int]], probes: npt.NDArray[np.float32]
) -> Iterator[int]:
    """How many of each probe's true nearest are missing among the hits."""
    for probe in probes:
        hits = {hit.template_id.int for hit in gallery.nearest(probe, NEAREST)}
        yield len(set(search(probe)) - hits)


def main() -> None:
    rng = np.random.default_rng(20_261_122)
    vectors = rng.standard_normal((SIZE, DIMENSIONS), dtype=np.float32)
    probes = vectors[rng.integers(0, SIZE, SEARCHES)] + 0.5 * rng.standard_normal(
        (SEARCHES, DIMENSIONS), dtype=np.float32
    )
    with TemporaryDirectory() as folder:
        gallery, load_seconds = load(Sealed(Path(folder) / "kms", vectors))
    matrix = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    search = stock(matrix)
    missed = sum(disagreements(gallery, search, probes))
    if missed:
        raise SystemExit(f"{missed} of the true nearest were not found")
    variants = {
        "ours": lambda: per_second(lambda probe: gallery.nearest(probe, NEAREST), probes),
        "stock": lambda: per_second(search, probes),
        "stock again": lambda: per_second(search, probes),
    }
    results = rounds(variants, count=ROUNDS, progress=_say)
    report(
        name="gallery",
        figures={
            "templates": SIZE,
            "dimensions": DIMENSIONS,
            "load_seconds": round(load_seconds, 2),
            "open_microseconds": round(load_seconds / SIZE * 1e6, 1),
            "search_ms": round(1000 / statistics.median(results["ours"]), 2),
            "stock_search_ms": round(1000 / statistics.median(results["stock"]), 2),
            "stock_against_stock": spread(results["stock"], results["stock again"]),
            "threads": os.cpu_count(),
        },
        ratios=[
            Ratio("searches_per_s_of_stock", median_ratio(results["ours"], results["stock"]), floor=0.8, target=1.3),
            Ratio("memory_of_stock", matrix.nbytes / gallery.nbytes, floor=1.5, target=1.9),
        ],
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
