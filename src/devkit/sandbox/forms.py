"""Form bodies with nested brackets (``metadata[order]=1``), as Stripe takes them."""

from __future__ import annotations

import itertools
import re
from typing import TypeAlias
from urllib.parse import parse_qsl

Value: TypeAlias = "str | list[Value] | dict[str, Value]"
Params: TypeAlias = "dict[str, Value]"

MAX_FIELDS = 500
MAX_DEPTH = 6

_PART = re.compile(r"\[([^\[\]]*)\]")
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")


class MalformedFormError(ValueError):
    """The body is not a form that can be understood; ``param`` names the field at fault."""

    def __init__(self, param: str) -> None:
        super().__init__(f"Invalid parameter name: {param}")
        self.param = param


def decode(body: bytes) -> Params:
    """The nested parameters of a form body.

    ``a[b]=1`` becomes ``{"a": {"b": "1"}}``, ``a[]=1&a[]=2`` and ``a[0]=1&a[1]=2`` become lists.
    Values stay
    text. Raises MalformedFormError.
    """
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise MalformedFormError("body") from error
    root: dict[str, Value] = {}
    for name, value in pairs:
        match = _NAME.match(name)
        if match is None:
            raise MalformedFormError(name)
        path = [match.group(1), *_PART.findall(match.group(2))]
        if len(path) > MAX_DEPTH:
            raise MalformedFormError(name)
        _put(root, path, value, name)
    return {key: _lists(value) for key, value in root.items()}


def _put(root: dict[str, Value], path: list[str], value: str, name: str) -> None:
    node = root
    for part, following in itertools.pairwise(path):
        key = part or str(len(node))
        child = node.setdefault(key, {})
        if not isinstance(child, dict):
            raise MalformedFormError(name)
        node = child
        if following == "":
            break
    last = path[-1] or str(len(node))
    if isinstance(node.get(last), dict):
        raise MalformedFormError(name)
    node[last] = value


def _lists(value: Value) -> Value:
    """Objects whose keys are 0, 1, 2, ... are lists."""
    if not isinstance(value, dict):
        return value
    children = {key: _lists(child) for key, child in value.items()}
    if children and all(key.isdigit() for key in children):
        return [children[key] for key in sorted(children, key=int)]
    return children
