"""What callers send, checked."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any
from uuid import UUID

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictInt

DIMENSIONS_MIN = 64
DIMENSIONS_MAX = 2048
_FLOAT_BYTES = 4
_WRAPPED_MAX = 4096


def _decode(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("must be base64 text")  # pydantic turns a ValueError into a 422
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64") from None


def _check_vector(raw: bytes) -> bytes:
    dimensions, rest = divmod(len(raw), _FLOAT_BYTES)
    if rest or not DIMENSIONS_MIN <= dimensions <= DIMENSIONS_MAX:
        raise ValueError(f"must be {DIMENSIONS_MIN} to {DIMENSIONS_MAX} little-endian float32 values")
    values = np.frombuffer(raw, "<f4").astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("must be finite")
    # A norm that is no normal float32 would lose the direction when it is divided by.
    if not np.finfo(np.float32).tiny <= np.linalg.norm(values) <= np.finfo(np.float32).max:
        raise ValueError("must not be zero, nor too long to be normalised")
    return raw


def _text_only(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


Id = Annotated[UUID, BeforeValidator(_text_only)]
Name = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,64}$", strict=True)]
Version = Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]
Vector = Annotated[bytes, BeforeValidator(_decode), AfterValidator(_check_vector)]
Wrapped = Annotated[bytes, BeforeValidator(_decode), Field(min_length=1, max_length=_WRAPPED_MAX)]


class Body(BaseModel):
    """Unknown members are refused: a misspelt one would otherwise be ignored."""

    # The input is kept out of error messages, which end up in logs.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class NewOrganizationKey(Body):
    key_id: Id
    version: Version


class NewPersonKey(Body):
    key_id: Id
    person_id: Id
    organization_key_version: Version


class StoredPersonKey(Body):
    key_id: Id
    organization_key_version: Version
    wrapped: Wrapped


class MovedPersonKey(Body):
    key_id: Id
    person_id: Id
    wrapped: Wrapped


class Rewrap(Body):
    from_version: Version
    to_version: Version
    person_keys: Annotated[tuple[MovedPersonKey, ...], Field(min_length=1, max_length=1000)]


class Seal(Body):
    person_id: Id
    modality: Name
    model: Name
    version: Version
    person_key: StoredPersonKey | None
    vector: Vector


class OfPerson(Body):
    person_id: Id


class Verify(Body):
    person_id: Id
    modality: Name
    model: Name
    vector: Vector


class Identify(Body):
    modality: Name
    model: Name
    vector: Vector
    k: Annotated[StrictInt, Field(ge=1, le=50)] = 5
