"""Bodies and values that a schema of the OpenAPI document allows, and values that it does not."""

from __future__ import annotations

import base64
import json
from typing import Any

from engine.api.compatibility import resolved

ID_SUFFIX = "01h455vb4pex5vsknk084sn02q"


def example(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """One value that fits ``schema``."""
    schema = resolved(document, schema)
    for name in ("example", "default"):
        if name in schema:
            return schema[name]
    for name in ("oneOf", "anyOf"):
        if name in schema:
            return example(document, schema[name][0])
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    return _MAKERS[kind](document, schema)


def _object(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    return {name: example(document, part) for name, part in schema.get("properties", {}).items()}


def _array(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    return [example(document, schema["items"])] * max(1, schema.get("minItems", 1))


def _string(_: dict[str, Any], schema: dict[str, Any]) -> Any:
    kind = schema.get("format")
    if kind == "byte":
        raw = b"\x01" * (max(1, schema.get("minLength", 4) // 4) * 3)
        return base64.b64encode(raw).decode()
    known = {
        "date-time": "2030-01-01T00:00:00Z",
        "date": "2030-01-01",
        "email": "ada@example.com",
        "uri": "https://example.com/",
        "uuid": "01890a5d-ac96-774b-bcce-b302099a8057",
        "time": "12:00:00",
    }
    return known.get(kind or "", "a" * max(1, schema.get("minLength", 1)))


def _integer(_: dict[str, Any], schema: dict[str, Any]) -> Any:
    return schema.get("minimum", 1)


_MAKERS = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _integer,
    "boolean": lambda document, schema: True,
}

# JSON that fits no field of any kind: unstorable, or beyond every bound.
NEVER = {
    "NaN": b"NaN",
    "infinity": b"-Infinity",
    "overflow": b"1e999",
    "huge": b"9" * 40,
    "nul": b'"a\\u0000b"',
    "surrogate": b'"\\udfff"',
    "deep": b"[" * 60 + b"]" * 60,
}
# JSON of every kind: refused, or taken, by a field without a fault.
ODD = {
    "text": b'"text where a number or a vector belongs"',
    "number": b"17",
    "negative": b"-1",
    "fraction": b"0.5",
    "large": b"9223372036854775807",
    "true": b"true",
    "null": b"null",
    "list": b"[]",
    "lists": b'[[], {}, "x", null]',
    "object": b"{}",
    "unknown": b'{"no_such_field": 1}',
    "empty": b'""',
    "long": b'"' + b"x" * 100_000 + b'"',
    "no base64": '"@@@ ÿ"'.encode(),
    "path": b'"../../etc/passwd"',
    "quote": b'"\' OR 1=1; --"',
    "url": b'"http://169.254.169.254/"',
    "date": b'"0000-99-99T99:99:99Z"',
    "currency": b'"XXX"',
}

_OF_EVERY_KIND = ("text", "number", "true", "null", "lists", "object")
_TYPES = {"string": str, "integer": int, "number": float, "boolean": bool, "array": list, "object": dict}


def odd_for(schema: dict[str, Any]) -> dict[str, bytes]:
    """Odd values for a field: all of its own kind, and one of every other."""
    own = _TYPES.get(schema.get("type", "object"), object)
    return {name: value for name, value in ODD.items() if name in _OF_EVERY_KIND or isinstance(json.loads(value), own)}
