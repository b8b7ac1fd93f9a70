"""The document says what the views do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rest_framework.test import APIClient

from engine.api import openapi
from engine.api.compatibility import operations
from engine.api.openapi import Breaking, Drift, generate


@pytest.fixture
def sample(api: APIClient) -> Iterator[dict]:
    openapi.document.cache_clear()
    yield openapi.document(openapi.ORGANIZATION)
    openapi.document.cache_clear()


def test_the_declaration_becomes_an_operation(sample: dict) -> None:
    listing = operations(sample)["GET", "/v1/things"]
    assert listing["operationId"] == "things_list"
    assert listing["x-permission"] == "things.read"
    assert listing["security"] == [{"bearer": []}]
    assert [parameter["name"] for parameter in listing["parameters"]] == ["cursor", "endpoint", "limit"]
    assert sorted(listing["responses"]) == ["200", "400", "401", "403", "429", "503"]
    page = listing["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rsplit("/")[-1]
    assert sample["components"]["schemas"][page]["required"] == ["data", "next_cursor"]

    creating = operations(sample)["POST", "/v1/create"]
    key = creating["parameters"][0]
    assert (key["name"], key["in"], key["required"]) == ("Idempotency-Key", "header", True)
    assert {"201", "400", "409", "413", "415", "422"} <= set(creating["responses"])

    getting = operations(sample)["GET", "/v1/things/{thing_id}"]
    assert getting["parameters"][0]["schema"]["pattern"] == "^site_[0-7][0-9a-hjkmnp-tv-z]{25}$"
    assert "404" in getting["responses"]


def test_fields_show_their_bounds(sample: dict) -> None:
    properties = sample["components"]["schemas"]["ThingInputRequest"]["properties"]
    assert properties["amount_minor"] == {"type": "integer", "minimum": 1, "maximum": 10**12, "format": "int64"}
    assert properties["currency"]["pattern"] == "^[A-Z]{3}$"
    assert properties["site"]["pattern"].startswith("^site_")
    assert properties["blob"]["maxLength"] == 24
    assert (properties["vector"]["minItems"], properties["vector"]["maxItems"]) == (64, 128)


def test_views_without_an_operation_are_left_out(sample: dict) -> None:
    assert ("GET", "/v1/undeclared") not in operations(sample)


def test_every_problem_is_a_problem_document(sample: dict) -> None:
    for (_, path), operation in operations(sample).items():
        for status, response in operation["responses"].items():
            # The errors of OAuth are RFC 6749's.
            if int(status) >= 400 and not path.startswith("/oauth/"):
                name = response["$ref"].rsplit("/")[-1]
                assert "application/problem+json" in sample["components"]["responses"][name]["content"]


@pytest.mark.usefixtures("sample")
def test_a_document_that_drifted_is_found(tmp_path: Path) -> None:
    assert generate(folder=tmp_path) == ["openapi.json", "openapi-platform.json"]
    assert generate(folder=tmp_path) == []
    assert generate(folder=tmp_path, check=True) == []
    path = tmp_path / "openapi.json"
    changed = json.loads(path.read_text())
    changed["paths"]["/v1/things"]["get"]["operationId"] = "other"
    path.write_text(openapi.render(changed))
    with pytest.raises(Drift, match=r"openapi\.json"):
        generate(folder=tmp_path, check=True)


@pytest.mark.usefixtures("sample")
def test_what_was_published_is_not_broken_by_accident(tmp_path: Path) -> None:
    openapi.publish(folder=tmp_path)
    openapi.check_published(folder=tmp_path)
    path = tmp_path / "published" / "openapi.json"
    changed = json.loads(path.read_text())
    changed["paths"]["/v1/gone"] = changed["paths"]["/v1/things"]
    path.write_text(openapi.render(changed))
    with pytest.raises(Breaking, match="GET /v1/gone: the operation is gone"):
        openapi.publish(folder=tmp_path)
    openapi.publish(folder=tmp_path, allow_breaking=True)
    assert openapi.breaking_changes(folder=tmp_path) == []


def test_what_is_updated_by_etag_is_read_by_etag() -> None:
    document = openapi.document(openapi.ORGANIZATION)
    reading = operations(document)["GET", "/v1/sites/{site_id}"]
    assert "If-None-Match" in [parameter["name"] for parameter in reading["parameters"]]
    assert "304" in reading["responses"]
    listing = operations(document)["GET", "/v1/sites"]
    assert "304" not in listing["responses"]
