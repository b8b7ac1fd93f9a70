"""Serializer fields that take exactly what they say, and a base that refuses unknown fields."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from engine import ids
from engine.api.currencies import CURRENCIES

MAX_AMOUNT_MINOR = 10**12


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer for input: a field that it does not know is an error that names it."""

    def to_internal_value(self, data: Any) -> Any:
        """The validated values. Raises ValidationError with every fault that was found."""
        unknown = {}
        if isinstance(data, Mapping):
            known = {name for name, field in self.fields.items() if not field.read_only}
            unknown = {
                str(key)[:64]: [ErrorDetail("This field is not known here.", code="unknown_field")]
                for key in data
                if key not in known
            }
        try:
            value = super().to_internal_value(data)
        except ValidationError as exc:
            if unknown and isinstance(exc.detail, dict):
                raise ValidationError({**unknown, **exc.detail}) from exc
            raise
        if unknown:
            raise ValidationError(unknown)
        return value


class OutputSerializer(serializers.Serializer[Any]):
    """A serializer for answers only; it never reads input."""


class TextField(serializers.CharField):
    """Text that arrives as a JSON string; numbers and booleans are not turned into text."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 200)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        """The text, trimmed."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictIntegerField(serializers.IntegerField):
    """An integer that arrives as a JSON integer: no text, no boolean, no 1.0. 32 bits unless told."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("min_value", -(2**31))
        kwargs.setdefault("max_value", 2**31 - 1)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> int:
        """The number."""
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class StrictBooleanField(serializers.BooleanField):
    """true or false, and no word that could mean one of them."""

    def to_internal_value(self, data: Any) -> bool:
        """The boolean."""
        if not isinstance(data, bool):
            self.fail("invalid", input=str(data)[:32])
        return data


class MinorAmountField(StrictIntegerField):
    """Money in minor units of its currency: an integer from 1 (or ``min_value``) to 10**12."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("min_value", 1)
        kwargs.setdefault("max_value", MAX_AMOUNT_MINOR)
        super().__init__(**kwargs)


@extend_schema_field({"type": "string", "pattern": "^[A-Z]{3}$", "example": "EUR"})
class CurrencyField(serializers.Field[str, Any, str, Any]):
    """An active ISO 4217 currency code in capitals."""

    default_error_messages = {"unknown": "This is not an ISO 4217 currency code in capitals."}

    def to_internal_value(self, data: Any) -> str:
        """The code."""
        if not isinstance(data, str) or data not in CURRENCIES:
            self.fail("unknown")
        return data

    def to_representation(self, value: str) -> str:
        """The code as it is."""
        return value


class TypeIdField(serializers.Field[Any, Any, str, Any]):
    """An id of one kind: text outside (``pay_...``), UUID inside.

    Answers take a UUID or a row of that kind (its ``id``).
    """

    default_error_messages = {"invalid_id": "This is not an id that starts with {prefix}_."}

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        self.prefix = prefix
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> UUID:
        """The UUID."""
        try:
            return ids.decode(self.prefix, data if isinstance(data, str) else "")
        except ids.InvalidId:
            self.fail("invalid_id", prefix=self.prefix)

    def to_representation(self, value: Any) -> str:
        """The public text."""
        return ids.encode(self.prefix, value if isinstance(value, UUID) else value.id)


class Base64Field(serializers.Field[bytes, Any, str, Any]):
    """Bytes as standard base64 (RFC 4648 section 4, padded), at most ``max_bytes`` of them."""

    default_error_messages = {
        "invalid_base64": "This is not base64.",
        "too_short": "This has fewer than {min_bytes} bytes.",
        "too_long": "This has more than {max_bytes} bytes.",
    }

    def __init__(self, *, max_bytes: int, min_bytes: int = 1, **kwargs: Any) -> None:
        self.max_bytes = max_bytes
        self.min_bytes = min_bytes
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> bytes:
        """The bytes."""
        if not isinstance(data, str):
            self.fail("invalid_base64")
        # Measured before decoding, so that no memory is spent on what is refused anyway.
        if len(data) > (self.max_bytes + 2) // 3 * 4:
            self.fail("too_long", max_bytes=self.max_bytes)
        try:
            value = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            self.fail("invalid_base64")
        if len(value) > self.max_bytes:
            self.fail("too_long", max_bytes=self.max_bytes)
        if len(value) < self.min_bytes:
            self.fail("too_short", min_bytes=self.min_bytes)
        return value

    def to_representation(self, value: bytes) -> str:
        """Padded base64."""
        return base64.b64encode(bytes(value)).decode("ascii")


class VectorField(serializers.Field[list[float], Any, list[float], Any]):
    """A vector of finite numbers, not all zero, of ``min_dimensions`` to ``max_dimensions``.

    The values must survive as float32: what overflows it, or vanishes in it as a whole, is refused.
    """

    default_error_messages = {
        "invalid_vector": "This is not a list of numbers.",
        "dimensions": "This has {count} dimensions; {minimum} to {maximum} are accepted.",
        "not_finite": "This has a number that a 32-bit float cannot hold.",
        "zero": "This vector has no direction: its length is zero.",
    }
    largest = 3.4028234663852886e38
    smallest = 1.1754943508222875e-38

    def __init__(self, *, min_dimensions: int = 64, max_dimensions: int = 2048, **kwargs: Any) -> None:
        self.min_dimensions = min_dimensions
        self.max_dimensions = max_dimensions
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> list[float]:
        """The numbers as floats."""
        if not isinstance(data, list):
            self.fail("invalid_vector")
        if not self.min_dimensions <= len(data) <= self.max_dimensions:
            self.fail(
                "dimensions",
                count=len(data),
                minimum=self.min_dimensions,
                maximum=self.max_dimensions,
            )
        if any(type(number) not in (int, float) for number in data):
            self.fail("invalid_vector")
        vector = [float(number) for number in data]
        if not all(math.isfinite(number) and abs(number) <= self.largest for number in vector):
            self.fail("not_finite")
        if not any(abs(number) >= self.smallest for number in vector):
            self.fail("zero")
        return vector

    def to_representation(self, value: list[float]) -> list[float]:
        """The numbers."""
        return list(value)


@extend_schema_field({"type": "object", "additionalProperties": True})
class JSONObjectField(serializers.Field[dict[str, Any], Any, dict[str, Any], Any]):
    """A JSON object of the caller's own making (metadata), of at most ``max_bytes``."""

    default_error_messages = {
        "invalid_object": "This is not a JSON object.",
        "too_long": "This has more than {max_bytes} bytes.",
    }

    def __init__(self, *, max_bytes: int = 4096, **kwargs: Any) -> None:
        self.max_bytes = max_bytes
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """The object."""
        if not isinstance(data, dict):
            self.fail("invalid_object")
        if len(json.dumps(data, ensure_ascii=False).encode()) > self.max_bytes:
            self.fail("too_long", max_bytes=self.max_bytes)
        return data

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        """The object as it is."""
        return value
