"""Ids in URL paths: ``path(f"payments/{typeid('pay', 'payment_id')}", ...)``.

The view gets a UUID. Another prefix, or garbage, matches no route and is 404.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import register_converter
from django.urls.converters import get_converters

from engine import ids

CONVERTER_PREFIX = "typeid_"
SUFFIX_PATTERN = "[0-7][0-9a-hjkmnp-tv-z]{25}"


def typeid(prefix: str, name: str) -> str:
    """The path component ``<typeid_pay:payment_id>``; makes the converter on first use."""
    converter_name = CONVERTER_PREFIX + prefix
    if converter_name not in get_converters():
        register_converter(_converter(prefix), converter_name)
    return f"<{converter_name}:{name}>"


def _converter(prefix: str) -> type:
    class TypeIdConverter:
        regex = f"{prefix}_{SUFFIX_PATTERN}"

        def to_python(self, value: str) -> UUID:
            # InvalidId is a ValueError, which Django takes for "no match".
            return ids.decode(prefix, value)

        def to_url(self, value: Any) -> str:
            return ids.encode(prefix, value) if isinstance(value, UUID) else str(value)

    return TypeIdConverter
