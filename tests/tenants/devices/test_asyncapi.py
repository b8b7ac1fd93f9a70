from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from tenants.devices.gateway import asyncapi

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "asyncapi.json"


def test_the_committed_document_says_what_the_code_does() -> None:
    committed = json.loads(DOCUMENT.read_text())
    assert committed == json.loads(json.dumps(asyncapi.document())), "run `keystead asyncapi`"


def test_every_reference_leads_somewhere() -> None:
    document = asyncapi.document()

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for part in value.values() for found in references(part)]
        return [found for part in value for found in references(part)] if isinstance(value, list) else []

    for reference in references(document):
        here: Any = document
        for part in reference.removeprefix("#/").split("/"):
            here = here[part]
        assert isinstance(here, dict)


def test_the_document_alone_is_enough_to_check_a_frame() -> None:
    document = asyncapi.document()

    def check(name: str, frame: dict[str, Any]) -> None:
        schema = {**document["components"]["schemas"][name], "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(frame)

    check("Heartbeat", {"type": "heartbeat", "id": "1"})
    for wrong in ({"type": "heartbeat", "x": 1}, {"type": "beat"}, {"type": "heartbeat", "id": "a b"}):
        try:
            check("Heartbeat", wrong)
        except jsonschema.ValidationError:
            continue
        raise AssertionError(f"{wrong} passed")


def test_every_frame_is_described() -> None:
    document = asyncapi.document()
    assert set(asyncapi.frame_types()) <= set(document["operations"])
    assert {"authenticate", "heartbeat", "acknowledge", "profile", "rotate_key", "checkout"} == set(
        asyncapi.frame_types()
    )
    assert all(message["summary"] for message in document["channels"]["gateway"]["messages"].values())
