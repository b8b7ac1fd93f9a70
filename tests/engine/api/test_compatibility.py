"""A change that breaks callers is found, and one that does not is let through."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from engine.api.compatibility import breaking_changes

PUBLISHED: dict[str, Any] = {
    "paths": {
        "/v1/things": {
            "get": {
                "operationId": "things_list",
                "x-permission": "things.read",
                "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 100}}],
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "object",
                                    "required": ["data"],
                                    "properties": {
                                        "data": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}
                                    },
                                }
                            }
                        }
                    }
                },
            },
            "post": {
                "operationId": "things_create",
                "x-permission": "things.write",
                "requestBody": {
                    "content": {"application/json": {"schema": {"allOf": [{"$ref": "#/components/schemas/NewThing"}]}}}
                },
                "responses": {"201": {"content": {}}},
            },
        }
    },
    "components": {
        "schemas": {
            "Thing": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"type": "string"}, "size": {"type": "integer", "maximum": 5}},
            },
            "NewThing": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "maxLength": 10, "nullable": True},
                    "kind": {"type": "string", "enum": ["a", "b"]},
                },
            },
        }
    },
}


def get(d: Any) -> Any:
    return d["paths"]["/v1/things"]["get"]


def post(d: Any) -> Any:
    return d["paths"]["/v1/things"]["post"]


def thing(d: Any) -> Any:
    return d["components"]["schemas"]["Thing"]


def new_thing(d: Any) -> Any:
    return d["components"]["schemas"]["NewThing"]


HEADER = {"name": "X", "in": "header", "schema": {"type": "string"}}
BREAKING: list[tuple[str, Callable[[Any], Any]]] = [
    ("the operation is gone", lambda d: d["paths"]["/v1/things"].pop("post")),
    ("the operation id changed", lambda d: get(d).update(operationId="x")),
    ("it needs things.all", lambda d: get(d).update({"x-permission": "things.all"})),
    ("the answer 201 is gone", lambda d: post(d).update(responses={"200": {}})),
    ("the query parameter limit is gone", lambda d: get(d).update(parameters=[])),
    ("limit is now required", lambda d: get(d)["parameters"][0].update(required=True)),
    ("X is now required", lambda d: get(d)["parameters"].append({**HEADER, "required": True})),
    ("maximum fell to 50", lambda d: get(d)["parameters"][0]["schema"].update(maximum=50)),
    ("it takes no body any more", lambda d: post(d).pop("requestBody")),
    ("it now needs a body", lambda d: get(d).update(requestBody=post(d)["requestBody"])),
    ("data[].size: the field is gone", lambda d: thing(d)["properties"].pop("size")),
    ("data[].size: the type changed", lambda d: thing(d)["properties"]["size"].update(type="string")),
    ("data[].id: it can now be null", lambda d: thing(d)["properties"]["id"].update(nullable=True)),
    ("data[].id: the field is no longer always there", lambda d: thing(d).update(required=[])),
    ("kind: the field is now required", lambda d: new_thing(d)["required"].append("kind")),
    ("name: maxLength fell to 5", lambda d: new_thing(d)["properties"]["name"].update(maxLength=5)),
    ("name: minLength rose to 1", lambda d: new_thing(d)["properties"]["name"].update(minLength=1)),
    ("name: null is no longer", lambda d: new_thing(d)["properties"]["name"].update(nullable=False)),
    ("name: the pattern changed", lambda d: new_thing(d)["properties"]["name"].update(pattern="^a$")),
    ("kind: b is no longer accepted", lambda d: new_thing(d)["properties"]["kind"].update(enum=["a"])),
    ("name: the field is gone", lambda d: new_thing(d)["properties"].pop("name")),
]
HARMLESS: list[Callable[[Any], Any]] = [
    lambda d: d["paths"].update({"/v1/others": {"get": {"operationId": "o", "responses": {}}}}),
    lambda d: get(d)["parameters"].append(HEADER),
    lambda d: get(d)["parameters"][0]["schema"].update(maximum=200),
    lambda d: get(d)["responses"].update({"503": {}}),
    lambda d: get(d).update(summary="Better words"),
    lambda d: thing(d)["properties"].update(more={"type": "string"}),
    lambda d: thing(d)["required"].append("size"),
    lambda d: thing(d)["properties"]["size"].update(maximum=3),
    lambda d: new_thing(d)["properties"].update(more={"type": "string"}),
    lambda d: new_thing(d).update(required=[]),
    lambda d: new_thing(d)["properties"]["kind"].update(enum=["a", "b", "c"]),
    lambda d: new_thing(d)["properties"]["name"].update(maxLength=20),
]


@pytest.mark.parametrize(("words", "change"), BREAKING, ids=[words for words, _ in BREAKING])
def test_a_breaking_change_is_found(words: str, change: Callable[[Any], Any]) -> None:
    present = deepcopy(PUBLISHED)
    change(present)
    found = breaking_changes(PUBLISHED, present)
    assert any(words in line for line in found), found


@pytest.mark.parametrize("change", HARMLESS)
def test_an_addition_passes(change: Callable[[Any], Any]) -> None:
    present = deepcopy(PUBLISHED)
    change(present)
    assert breaking_changes(PUBLISHED, present) == []
