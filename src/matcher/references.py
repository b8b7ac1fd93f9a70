"""Opens references into vectors, one at a time or a whole gallery by the block."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final, TypeAlias
from uuid import UUID

import numpy as np

from engine.keys.envelope import EnvelopeBroken
from engine.keys.kms import KmsError, KmsKeyNotFound, KmsRefused
from matcher import metrics
from matcher.database import Reference
from matcher.galleries import Floats, MemoryGallery
from matcher.opening import KeyMissing, Opener, problem_of

logger = logging.getLogger("matcher")

Shape: TypeAlias = tuple[str, str]
"""Modality and model."""

_BLOCK: Final = 1024


def fill(gallery: MemoryGallery, references: Iterable[Reference], opener: Opener, shape: Shape) -> None:
    """Open references into a gallery that nobody else uses yet."""
    block = np.empty((_BLOCK, gallery.dimensions), "<f4")
    named: list[tuple[UUID, UUID]] = []
    for reference in references:
        if reference.dimensions == gallery.dimensions and _opens(opener, block[len(named)], reference, shape):
            named.append((reference.person_id, reference.template_id))
        if len(named) == _BLOCK:
            gallery.extend(named, block)
            named.clear()
    gallery.extend(named, block[: len(named)])
    block.fill(0)


def opened(opener: Opener, reference: Reference, shape: Shape) -> Floats | None:
    """The reference's vector; None when it does not open."""
    vector = np.empty(reference.dimensions, "<f4")
    return vector if _opens(opener, vector, reference, shape) else None


def _opens(opener: Opener, vector: Floats, reference: Reference, shape: Shape) -> bool:
    """Whether the reference was opened into `vector`: counted and logged when its row was not sealed as what it is."""
    try:
        opener.vector_into(vector, reference, modality=shape[0], model=shape[1])
    except (EnvelopeBroken, KeyMissing, KmsRefused, KmsKeyNotFound):
        # One bad row must not keep everybody else from being recognised.
        metrics.UNREADABLE.inc()
        logger.warning("template %s does not open under its own keys", reference.template_id)
        return False
    except KmsError as error:
        raise problem_of(error) from error
    return True
