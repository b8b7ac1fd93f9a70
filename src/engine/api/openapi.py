"""The OpenAPI documents: written to docs/, held against the code, compared with what was published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings

from engine.api import compatibility
from engine.api.compatibility import operations
from engine.api.problems import CONTENT_TYPE, default_of
from engine.api.schema import REUSABLE_PROBLEMS

VERSION = "1.0.0"
ORGANIZATION = "openapi.json"
PLATFORM = "openapi-platform.json"
PUBLISHED = "published"
"""The folder beside the documents that holds what callers were promised."""

_SOURCES = {
    ORGANIZATION: (
        "config.urls_organization",
        "Keystead API",
        "What an organization's back office, apps and devices call at `https://<organization>.<base>/v1`.\n\n"
        "Ids are TypeIDs (`pay_01h455vb4pex5vsknk084sn02q`). Money is an integer of minor units. Times are\n"
        "UTC. Lists come in pages: pass `next_cursor` back as `cursor`. Errors are problem documents\n"
        "(RFC 9457) with a stable `code` and, for invalid input, the fields at fault.",
    ),
    PLATFORM: (
        "config.urls_platform",
        "Keystead platform API",
        "What the operators of a Keystead installation call at `https://platform.<base>/v1`.",
    ),
}


class Drift(Exception):
    """A committed document is not what the code says."""


class Breaking(Exception):
    """The present documents break callers of the published ones."""


def documents() -> dict[str, dict[str, Any]]:
    """Every OpenAPI document by file name, generated from the URL configurations."""
    return {name: document(name) for name in _SOURCES}


@cache
def document(name: str) -> dict[str, Any]:
    """One document, by the name of its file."""
    urlconf, title, description = _SOURCES[name]
    generator = SchemaGenerator(urlconf=urlconf)
    with patched_settings({"TITLE": title, "DESCRIPTION": description, "VERSION": VERSION}):
        return _finished(_without_marks(generator.get_schema(request=None, public=True)))


def render(found: Mapping[str, Any]) -> str:
    """The text of a document as it is committed: stable, readable, one final newline."""
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def generate(*, folder: Path, check: bool = False) -> list[str]:
    """Write the documents into ``folder`` and answer the names of those that changed.

    With ``check`` nothing is written. Raises Drift, naming the documents, when one is not up to date.
    """
    changed = []
    for name, found in documents().items():
        path = folder / name
        text = render(found)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        changed.append(name)
        if not check:
            path.write_text(text, encoding="utf-8")
    if check and changed:
        raise Drift(f"{', '.join(changed)}: out of date, run `keystead openapi`")
    return changed


def breaking_changes(*, folder: Path) -> list[str]:
    """Each way in which the present documents break callers of those in ``folder``/published."""
    found = []
    for name, present in documents().items():
        path = folder / PUBLISHED / name
        if path.exists():
            published = json.loads(path.read_text(encoding="utf-8"))
            found += [f"{name}: {line}" for line in compatibility.breaking_changes(published, present)]
    return found


def check_published(*, folder: Path) -> None:
    """Raise Breaking when a caller of the published documents would break."""
    found = breaking_changes(folder=folder)
    if found:
        raise Breaking("\n".join(found))


def publish(*, folder: Path, allow_breaking: bool = False) -> None:
    """Promise callers the present documents. Raises Breaking unless ``allow_breaking``."""
    if not allow_breaking:
        check_published(folder=folder)
    target = folder / PUBLISHED
    target.mkdir(exist_ok=True)
    for name, present in documents().items():
        (target / name).write_text(render(present), encoding="utf-8")


def _finished(found: dict[str, Any]) -> dict[str, Any]:
    """Add what all operations share."""
    components = found.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    components["schemas"] = dict(sorted(components["schemas"].items()))
    components["responses"] = {name: _problem_response(status) for status, name in REUSABLE_PROBLEMS.items()}
    components["securitySchemes"] = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "A session token (`kst_...`) of a member or operator, or an access token of an app.",
        }
    }
    for operation in operations(found).values():
        for response in operation["responses"].values():
            if "$ref" not in response:
                response.setdefault("headers", {})["Request-Id"] = {"schema": {"type": "string"}}
                response["description"] = response.get("description") or "Done."
    return found


PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "A page about this kind of problem."},
        "title": {"type": "string", "description": "The kind of problem in a few words."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "code": {"type": "string", "description": "The kind of problem for programs; never changes."},
        "detail": {"type": "string", "description": "This occurrence, in a sentence."},
        "request_id": {"type": "string", "description": "Tell it to support."},
        "errors": {
            "type": "array",
            "description": "The fields at fault.",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {
                    "field": {"type": "string", "description": "Dotted path of the input."},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
    "additionalProperties": True,
}


def _without_marks(part: Any) -> Any:
    """The document without the marks that drf-spectacular leaves for a hook that we do not use."""
    if isinstance(part, dict):
        return {k: _without_marks(v) for k, v in part.items() if k != "x-spec-enum-id"}
    return [_without_marks(item) for item in part] if isinstance(part, list) else part


def _problem_response(status: int) -> dict[str, Any]:
    code, title = default_of(status)
    headers: dict[str, Any] = {"Request-Id": {"schema": {"type": "string"}}}
    if status in {429, 503}:
        headers["Retry-After"] = {"schema": {"type": "integer"}, "description": "Seconds to wait."}
    if status == 401:
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}}
    example = {
        "type": f"https://docs.keystead.dev/problems/{code}",
        "title": title,
        "status": status,
        "code": code,
        "request_id": "req_01h455vb4pex5vsknk084sn02q",
    }
    return {
        "description": f"{title}.",
        "headers": headers,
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }
