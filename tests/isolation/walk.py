"""Every operation of the OpenAPI document, called by the wrong organization."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from engine.api import openapi
from engine.api.compatibility import operations
from tests.e2e.examples import example
from tests.isolation.world import World

_PREFIX = re.compile(r"\^?\(?([a-z]+)_\[")
# Neither 409 nor 412: whoever gets as far as the state of an object knows that there is one.
_REFUSED = frozenset({400, 401, 403, 404})


class Uncovered(AssertionError):
    """An operation takes an id of a kind of which the world has no object: nobody has tried it."""


@dataclass(frozen=True)
class Operation:
    """One operation of the organization's document."""

    method: str
    path: str
    body: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_public(self) -> bool:
        """Whether it needs no token."""
        return self.body["x-permission"] == "public"

    @property
    def named_prefixes(self) -> list[tuple[str, str]]:
        """The path's parameters and the kind of id that each takes."""
        return [
            (parameter["name"], _prefix(parameter["schema"], self))
            for parameter in self.body.get("parameters", [])
            if parameter["in"] == "path"
        ]

    def url(self, world: World) -> str:
        """The path, naming the world's objects."""
        path = self.path
        for name, prefix in self.named_prefixes:
            path = path.replace(f"{{{name}}}", _known(world, prefix, self))
        return path

    def content(self, document: dict[str, Any], world: World) -> Any:
        """A body that fits, naming the world's objects; None when there is none."""
        found = self.body.get("requestBody", {}).get("content", {}).get("application/json")
        if found is None:
            return None
        text = json.dumps(_with_ids(example(document, found["schema"]), document, found["schema"], world, self))
        return json.loads(text)


@dataclass(frozen=True)
class Leak:
    """Something that got through."""

    operation: str
    principal: str
    what: str


def all_operations() -> list[Operation]:
    """Every operation that an organization's host documents."""
    found = operations(openapi.document(openapi.ORGANIZATION))
    return [Operation(method, path, body) for (method, path), body in sorted(found.items())]


def attack(operation: Operation, *, attacker: World, victim: World) -> Iterator[Leak]:
    """Call an operation at the attacker's host about the victim's objects, as each principal.

    What comes back must show nothing of the victim's, and where its objects are named it must be a
    refusal. Then the victim's own tokens are shown at the attacker's host, where they are nothing.
    """
    document = openapi.document(openapi.ORGANIZATION)
    content = operation.content(document, victim)
    names_victim = bool(operation.named_prefixes) or any(one in json.dumps(content) for one in victim.ids.values())
    for principal in (*attacker.tokens, None):
        answer = _send(attacker.client(principal), operation, victim, content)
        who = principal or "anonymous"
        yield from _shown(operation, who, answer, victim)
        if names_victim and answer.status_code not in _REFUSED:
            yield Leak(str(operation), who, f"{answer.status_code} for another organization's object")
        if principal is None and not operation.is_public and answer.status_code != 401:
            yield Leak(str(operation), who, f"{answer.status_code} without a token")
    if operation.is_public:
        return
    for principal in victim.tokens:
        answer = _send(victim.client(principal, at=attacker), operation, victim, content)
        yield from _shown(operation, f"the victim's {principal}", answer, victim)
        if answer.status_code != 401:
            yield Leak(str(operation), f"the victim's {principal}", f"{answer.status_code} instead of 401")


def _send(client: Any, operation: Operation, victim: World, content: Any) -> Any:
    headers = {"Idempotency-Key": str(uuid4()), "If-Match": '"1"'}
    send = getattr(client, operation.method.lower())
    if operation.method == "GET":
        return send(operation.url(victim), headers=headers)
    return send(operation.url(victim), content if content is not None else {}, headers=headers)


def _shown(operation: Operation, who: str, answer: Any, victim: World) -> Iterator[Leak]:
    # Streamed answers too: they are written after everything else has been left.
    text = answer.getvalue().decode() + json.dumps(dict(answer.headers))
    for secret in victim.secrets():
        if secret in text:
            yield Leak(str(operation), who, f"{answer.status_code} shows {secret}")


def _with_ids(value: Any, document: dict[str, Any], schema: dict[str, Any], world: World, operation: Operation) -> Any:
    """The value with an object of the world in place of every id that the schema asks for."""
    from engine.api.compatibility import resolved

    schema = resolved(document, schema)
    if isinstance(value, dict):
        parts = schema.get("properties", {})
        return {k: _with_ids(v, document, parts.get(k, {}), world, operation) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_ids(one, document, schema.get("items", {}), world, operation) for one in value]
    if isinstance(value, str) and _PREFIX.match(schema.get("pattern", "")):
        return _known(world, _prefix(schema, operation), operation)
    return value


def _prefix(schema: dict[str, Any], operation: Operation) -> str:
    alternatives = re.match(r"\^\(([a-z]+)[|)]", schema.get("pattern", ""))
    found = alternatives or _PREFIX.match(schema.get("pattern", ""))
    if found is None:
        raise Uncovered(f"{operation}: a parameter without the pattern of an id")
    return found.group(1)


def _known(world: World, prefix: str, operation: Operation) -> str:
    if prefix not in world.ids:
        raise Uncovered(f"{operation} takes an id of kind {prefix}_; tests/isolation/world.py makes none")
    return world.ids[prefix]
