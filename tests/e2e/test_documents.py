"""docs/openapi*.json are what the code says, and break nobody who read the published ones."""

from __future__ import annotations

import pytest
from drf_spectacular.drainage import GENERATOR_STATS

from engine.api import openapi
from engine.api.compatibility import operations
from tests.harness.environment import ROOT

DOCS = ROOT / "docs"


def test_the_committed_documents_are_what_the_code_says() -> None:
    """Write them again with `make openapi`."""
    assert openapi.generate(folder=DOCS, check=True) == []


def test_callers_of_the_published_documents_are_not_broken() -> None:
    """A change that has to break them: `keystead openapi --publish --allow-breaking`, and say why."""
    assert openapi.breaking_changes(folder=DOCS) == []


def test_both_documents_are_published_and_full() -> None:
    for name, least in ((openapi.ORGANIZATION, 40), (openapi.PLATFORM, 5)):
        assert (DOCS / openapi.PUBLISHED / name).exists()
        assert len(operations(openapi.document(name))) >= least


def test_every_reference_of_a_document_leads_somewhere() -> None:
    for name in (openapi.ORGANIZATION, openapi.PLATFORM):
        document = openapi.document(name)
        for reference in _references(document):
            target: object = document
            for part in reference.removeprefix("#/").split("/"):
                assert isinstance(target, dict), reference
                assert part in target, reference
                target = target[part]


def _references(part: object) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [found for value in part.values() for found in _references(value)]
    if isinstance(part, list):
        return [found for value in part for found in _references(value)]
    return []


def test_the_generator_understood_everything(capsys: pytest.CaptureFixture[str]) -> None:
    for name in (openapi.ORGANIZATION, openapi.PLATFORM):
        openapi.document.__wrapped__(name)
        assert not GENERATOR_STATS, capsys.readouterr().err
