"""How our serializer fields look in an OpenAPI document. Importing it registers them."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.extensions import OpenApiSerializerFieldExtension

from engine.api import fields
from engine.api.paths import SUFFIX_PATTERN

EXAMPLE_SUFFIX = "01h455vb4pex5vsknk084sn02q"


class TypeIdExtension(OpenApiSerializerFieldExtension):
    """An id: a string with its prefix."""

    target_class = "engine.api.fields.TypeIdField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """The pattern and an example."""
        prefix = cast(fields.TypeIdField, self.target).prefix
        return {
            "type": "string",
            "pattern": f"^{prefix}_{SUFFIX_PATTERN}$",
            "example": f"{prefix}_{EXAMPLE_SUFFIX}",
        }


class Base64Extension(OpenApiSerializerFieldExtension):
    """Bytes: base64 of a bounded length."""

    target_class = "engine.api.fields.Base64Field"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """The longest text that is accepted."""
        field = cast(fields.Base64Field, self.target)
        return {
            "type": "string",
            "format": "byte",
            "minLength": (field.min_bytes + 2) // 3 * 4,
            "maxLength": (field.max_bytes + 2) // 3 * 4,
        }


class VectorExtension(OpenApiSerializerFieldExtension):
    """A vector: an array of numbers."""

    target_class = "engine.api.fields.VectorField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """The accepted numbers of dimensions."""
        field = cast(fields.VectorField, self.target)
        return {
            "type": "array",
            "items": {"type": "number", "format": "float"},
            "minItems": field.min_dimensions,
            "maxItems": field.max_dimensions,
        }
