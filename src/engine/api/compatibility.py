"""What breaks a caller: the difference between the published document and the new one.

Breaking are: an operation, an answer or a field of an answer that is gone; a type that changed; an input
that became required, narrower or unknown; an operation that now needs a header, or another permission.
Additions that a tolerant reader does not notice are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

Direction = Literal["request", "response"]
_DEEPEST = 12
_METHODS = {"get", "put", "post", "delete", "patch", "head", "options"}
# A smaller value of the first kind, or a larger one of the second, refuses what was accepted.
_UPPER = ("maximum", "maxLength", "maxItems", "maxProperties")
_LOWER = ("minimum", "minLength", "minItems", "minProperties")


def operations(document: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The operations of an OpenAPI document by (METHOD, path)."""
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in _METHODS
    }


def breaking_changes(published: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """One line for each change in ``present`` that breaks a caller of ``published``."""
    return list(_Comparison(published, present).changes())


class _Comparison:
    def __init__(self, published: Mapping[str, Any], present: Mapping[str, Any]) -> None:
        self.published = published
        self.present = present

    def changes(self) -> Iterator[str]:
        new = operations(self.present)
        for key, old in operations(self.published).items():
            where = " ".join(key)
            if key not in new:
                yield f"{where}: the operation is gone"
                continue
            yield from self._operation(where, old, new[key])

    def _operation(self, where: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
        if old["operationId"] != new["operationId"]:
            yield f"{where}: the operation id changed to {new['operationId']}"
        if old.get("x-permission") != new.get("x-permission"):
            yield f"{where}: it needs {new.get('x-permission')} instead of {old.get('x-permission')}"
        yield from self._parameters(where, old, new)
        yield from self._bodies(where, old, new)
        for status, answer in old["responses"].items():
            if status not in new["responses"]:
                if status.startswith("2"):
                    yield f"{where}: the answer {status} is gone"
                continue
            before, after = _schema(answer), _schema(new["responses"][status])
            if before is not None:
                yield from self._schemas(f"{where} {status}", before, after or {}, "response")

    def _parameters(self, where: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
        before = {(p["in"], p["name"]): p for p in old.get("parameters", [])}
        after = {(p["in"], p["name"]): p for p in new.get("parameters", [])}
        for key, parameter in after.items():
            place, name = key
            known = before.get(key)
            if parameter.get("required") and not (known or {}).get("required"):
                yield f"{where}: the {place} parameter {name} is now required"
            if known is not None:
                yield from self._schemas(f"{where} {name}", known["schema"], parameter["schema"], "request")
        for place, name in before.keys() - after.keys():
            yield f"{where}: the {place} parameter {name} is gone"

    def _bodies(self, where: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
        before, after = _schema(old.get("requestBody")), _schema(new.get("requestBody"))
        if before is None and after is not None:
            yield f"{where}: it now needs a body"
        elif before is not None and after is None:
            yield f"{where}: it takes no body any more"
        elif before is not None and after is not None:
            yield from self._schemas(f"{where} body", before, after, "request")

    def _schemas(self, where: str, before: Any, after: Any, direction: Direction, depth: int = 0) -> Iterator[str]:
        old, new = resolved(self.published, before), resolved(self.present, after)
        if depth > _DEEPEST:
            return
        if old.get("type") != new.get("type"):
            yield f"{where}: the type changed from {old.get('type')} to {new.get('type')}"
            return
        if direction == "response" and new.get("nullable") and not old.get("nullable"):
            yield f"{where}: it can now be null"
        if direction == "request":
            yield from _narrower(where, old, new)
        yield from self._properties(where, old, new, direction, depth)
        if "items" in old:
            yield from self._schemas(f"{where}[]", old["items"], new.get("items", {}), direction, depth + 1)

    def _properties(self, where: str, old: Any, new: Any, direction: Direction, depth: int) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        required_before, required_after = set(old.get("required", [])), set(new.get("required", []))
        for name, schema in before.items():
            if name not in after:
                yield f"{where}.{name}: the field is gone"
                continue
            yield from self._schemas(f"{where}.{name}", schema, after[name], direction, depth + 1)
        if direction == "request":
            for name in sorted(required_after - required_before):
                yield f"{where}.{name}: the field is now required"
        else:
            for name in sorted((required_before - required_after) & set(after)):
                yield f"{where}.{name}: the field is no longer always there"


def _narrower(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if old.get("nullable") and not new.get("nullable"):
        yield f"{where}: null is no longer accepted"
    for name in _UPPER:
        if name in new and new[name] < old.get(name, float("inf")):
            yield f"{where}: {name} fell to {new[name]}"
    for name in _LOWER:
        if name in new and new[name] > old.get(name, float("-inf")):
            yield f"{where}: {name} rose to {new[name]}"
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield f"{where}: the pattern changed"
    if "enum" in new:
        for value in old.get("enum", ["anything"]):
            if value not in new["enum"]:
                yield f"{where}: {value} is no longer accepted"


def _schema(part: Mapping[str, Any] | None) -> Any:
    for media in (part or {}).get("content", {}).values():
        return media.get("schema")
    return None


def resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with its references and `allOf` parts laid into one."""
    found: dict[str, Any] = dict(schema)
    if "$ref" in found:
        target: Any = document
        for part in found["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return resolved(document, target)
    for part in found.pop("allOf", []):
        found = {**resolved(document, part), **found}
    return found
