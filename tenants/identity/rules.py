"""What counts as a match. Pure: scores and sizes in, a decision out.

Scores are cosine similarities. A 1:N search compares a stranger with everybody, so the chance of
a false match grows with the gallery; the threshold rises with the logarithm of its size.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

DIMENSIONS_MIN = 64
DIMENSIONS_MAX = 2048
FLOAT_BYTES = 4
VERIFICATION_MIN_DEFAULT = 0.60
IDENTIFICATION_MIN_DEFAULT = 0.65
PER_DECADE = 0.01
THRESHOLD_MAX = 0.98
MARGIN_MIN = 0.02

Outcome = Literal["match", "no_match", "ambiguous"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One template that a search came up with."""

    person_id: UUID
    template_id: UUID
    template_version: int
    score: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What a search means: whom, if anybody, and how far the next person was."""

    outcome: Outcome
    best: Candidate | None
    runner_up: Candidate | None
    threshold: float


class InvalidVector(ValueError):
    """A text is not a vector that can be compared."""


def decode_vector(text: str) -> bytes:
    """The bytes of a base64 vector of little-endian float32, 64 to 2,048 of them.

    Raises InvalidVector for anything else: wrong length, not finite, all zeros.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidVector("This is not base64.") from error
    count, rest = divmod(len(raw), FLOAT_BYTES)
    if rest or not DIMENSIONS_MIN <= count <= DIMENSIONS_MAX:
        raise InvalidVector(f"Send {DIMENSIONS_MIN} to {DIMENSIONS_MAX} little-endian float32 numbers.")
    numbers = struct.unpack(f"<{count}f", raw)
    if not all(math.isfinite(number) for number in numbers):
        raise InvalidVector("Every number must be finite.")
    if not any(numbers):
        raise InvalidVector("A vector of zeros points nowhere.")
    return raw


def identification_threshold(*, base: float, gallery_size: int) -> float:
    """The least score that identifies, in a gallery of `gallery_size` templates.

    It stops growing at THRESHOLD_MAX, and is never less than `base`.
    """
    return max(base, min(THRESHOLD_MAX, base + PER_DECADE * math.log10(max(gallery_size, 1))))


def decide(*, candidates: Sequence[Candidate], threshold: float, margin: float = MARGIN_MIN) -> Decision:
    """Whom the candidates (best first) identify.

    The runner-up is the best candidate of another person: two templates of one person are no
    contradiction. Within `margin` of each other, two people are ambiguous and nobody is named. A
    score that is not a number recognises nobody, and tells nobody apart.
    """
    best = candidates[0] if candidates else None
    runner_up = next((one for one in candidates if best and one.person_id != best.person_id), None)
    # Written so that a comparison with NaN, which is always false, refuses.
    if best is None or not best.score >= threshold:
        return Decision("no_match", best, runner_up, threshold)
    if runner_up is not None and not best.score - runner_up.score >= margin:
        return Decision("ambiguous", best, runner_up, threshold)
    return Decision("match", best, runner_up, threshold)
