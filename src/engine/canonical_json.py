"""One byte string per JSON value, so that two parties can sign and hash the same thing.

The JSON Canonicalization Scheme (RFC 8785): no white space, members sorted by UTF-16 code units,
the shortest strings, and numbers written as ECMAScript writes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

INTEGER_MAX = 2**53 - 1
"""The largest integer that every JSON implementation reads back unchanged (RFC 7493)."""


class NotCanonical(ValueError):
    """A text or a value has no canonical form: a repeated member, NaN, a too large integer."""


def encode(value: Any) -> bytes:
    """The canonical UTF-8 bytes of `value`.

    Raises NotCanonical for NaN, infinities, integers beyond 2**53 - 1, lone surrogates, and types that
    JSON does not have.
    """
    try:
        return _text(value).encode()
    except UnicodeEncodeError as error:
        raise NotCanonical("a text contains half of a surrogate pair") from error


def decode(text: str | bytes) -> Any:
    """The JSON value of `text`, refused where two readers could understand it differently.

    Raises NotCanonical for broken JSON, repeated members, NaN, infinities, and nesting that is too deep.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise NotCanonical("nested too deeply") from error
    except ValueError as error:
        if isinstance(error, NotCanonical):
            raise
        raise NotCanonical("not JSON") from error


def _without_repeats(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise NotCanonical("a member is there twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise NotCanonical(f"{name} is not a JSON number")


def _text(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case int():
            if abs(value) > INTEGER_MAX:
                raise NotCanonical("an integer is beyond 2**53 - 1")
            return str(value)
        case float():
            return _number(value)
        case Mapping():
            if not all(isinstance(name, str) for name in value):
                raise NotCanonical("a member's name is not a text")
            # ECMAScript compares UTF-16 code units, which differs from code points above U+FFFF.
            names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
            return "{" + ",".join(f"{_text(name)}:{_text(value[name])}" for name in names) + "}"
        case Sequence() if not isinstance(value, (bytes, bytearray)):
            return "[" + ",".join(_text(item) for item in value) + "]"
    raise NotCanonical(f"JSON has no {type(value).__name__}")


def _number(value: float) -> str:
    """ECMAScript's Number::toString (ECMA-262, 6.1.6.1.20) for radix 10."""
    if not math.isfinite(value):
        raise NotCanonical("not a finite number")
    if value == 0:
        return "0"
    if value < 0:
        return "-" + _number(-value)
    # repr() gives the same shortest digits; only the notation differs.
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    power = point - 1
    sign = "+" if power > 0 else "-"
    rest = f".{digits[1:]}" if count > 1 else ""
    return f"{digits[0]}{rest}e{sign}{abs(power)}"
