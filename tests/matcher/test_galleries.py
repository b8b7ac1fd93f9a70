"""The gallery in memory: exact for every set of vectors, however it came about."""

from __future__ import annotations

import threading
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matcher.galleries import ROUNDING, GalleryGone, MemoryGallery, cosine, unit
from tests.matcher.world import Vector, vector


def filled(vectors: list[Vector]) -> tuple[MemoryGallery, list[UUID]]:
    gallery = MemoryGallery(len(vectors[0]))
    templates = [uuid4() for _ in vectors]
    for template, values in zip(templates, vectors, strict=True):
        gallery.put(uuid4(), [(template, values)])
    return gallery, templates


@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 10), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_the_true_nearest_are_always_among_the_hits(seed: int, size: int, count: int, spread: float) -> None:
    """Also among near twins, which half precision cannot tell apart: then more are returned."""
    rng = np.random.default_rng(seed)
    base = rng.standard_normal(64).astype(np.float32)
    vectors = [(base + spread * 0.01 * rng.standard_normal(64)).astype(np.float32) for _ in range(size)]
    gallery, templates = filled(vectors)
    probe = (base + 0.1 * rng.standard_normal(64)).astype(np.float32)
    hits = {hit.template_id for hit in gallery.nearest(probe, count)}
    exact = sorted(zip(templates, vectors, strict=True), key=lambda pair: -cosine(probe, pair[1]))
    assert {template for template, _ in exact[:count]} <= hits


@given(st.integers(0, 2**32 - 1), st.sampled_from([64, 512, 2048]), st.floats(1e-20, 1e20))
@settings(max_examples=30, deadline=None)
def test_half_precision_stays_within_the_rounding_that_is_allowed_for(seed: int, dimensions: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    one = (scale * rng.standard_normal(dimensions)).astype(np.float32)
    probe = rng.standard_normal(dimensions).astype(np.float32)
    gallery, _ = filled([one])
    (hit,) = gallery.nearest(probe, 1)
    assert abs(hit.score - cosine(probe, one)) < ROUNDING / 2


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), max_size=60))
@settings(max_examples=60, deadline=None)
def test_after_any_changes_it_holds_what_was_put_last(changes: list[tuple[int, int]]) -> None:
    """People come, are replaced with 0 to 3 templates, and go; compared with a dict."""
    people = [UUID(int=n) for n in range(9)]
    gallery, expected = MemoryGallery(64), dict[UUID, list[UUID]]()
    vectors: dict[UUID, Vector] = {}
    for step, (person, count) in enumerate(changes):
        templates = [UUID(int=1000 + step * 10 + n) for n in range(count)]
        for n, template in enumerate(templates):
            vectors[template] = vector(step * 10 + n, 64)
        if count:
            gallery.put(people[person], [(template, vectors[template]) for template in templates])
        else:
            assert gallery.remove(people[person]) == len(expected.get(people[person], []))
        expected[people[person]] = templates
    held = [template for templates in expected.values() for template in templates]
    assert len(gallery) == len(held)
    for template in held:
        best = gallery.nearest(vectors[template], 1)[0]
        assert best.template_id == template
        assert best.score == pytest.approx(1, abs=ROUNDING)


def test_a_removed_vector_is_overwritten() -> None:
    gallery, _ = filled([vector(1, 64)])
    matrix = gallery._matrix
    person = gallery._people[0]
    assert matrix.any()
    gallery.remove(person)
    assert not matrix.any()


def test_growing_overwrites_what_it_leaves_behind() -> None:
    gallery, _ = filled([vector(n, 64) for n in range(16)])
    before = gallery._matrix
    gallery.put(uuid4(), [(uuid4(), vector(99, 64))])
    assert gallery._matrix is not before
    assert not before.any()
    assert len(gallery.nearest(vector(99, 64), 17)) == 17


def test_a_wiped_gallery_does_not_pretend_to_be_empty() -> None:
    gallery, _ = filled([vector(1, 64)])
    gallery.wipe()
    assert not gallery._matrix.any()
    for use in (
        lambda: gallery.nearest(vector(1, 64), 1),
        lambda: gallery.remove(uuid4()),
        lambda: gallery.put(uuid4(), []),
    ):
        with pytest.raises(GalleryGone):
            use()


def test_an_empty_gallery_has_no_hits() -> None:
    assert MemoryGallery(64).nearest(vector(1, 64), 5) == []


def test_a_large_gallery_is_searched_by_all_processors_and_exactly() -> None:
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((50_000, 64)).astype(np.float32)
    gallery = MemoryGallery(64, capacity=len(rows))
    templates = [UUID(int=n) for n in range(len(rows))]
    gallery.extend([(template, template) for template in templates], rows)
    probe = rng.standard_normal(64).astype(np.float32)
    normed = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    best = np.argsort(-(normed.astype(np.float64) @ unit(probe)))[:5]
    hits = {hit.template_id for hit in gallery.nearest(probe, 5)}
    assert {templates[n] for n in best} <= hits


def test_searches_wait_for_changes_and_changes_for_searches() -> None:
    gallery, _ = filled([vector(n, 64) for n in range(8)])
    wrong: list[str] = []

    def search() -> None:
        for _ in range(200):
            if gallery.nearest(vector(0, 64), 1)[0].score < 1 - ROUNDING:
                wrong.append("the one who stays was not found")  # noqa: PERF401  # appended while others run

    def change() -> None:
        for n in range(200):
            person = UUID(int=n % 7)
            gallery.put(person, [(uuid4(), vector(100 + n, 64))])
            gallery.remove(person)

    threads = [threading.Thread(target=target) for target in (search, search, change, change)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(gallery) == 8


def test_equal_directions_tie_whatever_their_length() -> None:
    probe = vector(5, 512)
    assert {cosine(probe, vector(6, 512) * np.float32(scale)) for scale in (1, 3, 0.007, 1e20)} == {
        cosine(probe, vector(6, 512))
    }
