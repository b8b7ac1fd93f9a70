"""The matcher, as this app sees it (docs/matcher.md). None of these may run inside a transaction."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

import structlog

from engine.errors import Conflict, DomainError
from engine.matcher_client import MatcherRefused, MatcherUnavailable
from engine.service_tokens import OrganizationClaims
from engine.tenancy.context import current_organization
from tenants.identity.rules import Candidate
from tenants.keyring.adapters import matcher_client
from tenants.keyring.services import WrappedPersonKey

log = structlog.get_logger(__name__)

_TEMPLATE_MISSING = "template_missing"


class VectorRefused(DomainError):
    """The matcher cannot compare this vector, for example because it has other dimensions."""

    code = "vector_refused"
    status = 422
    title = "This vector cannot be compared"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A template as it is stored, and the person key that it is sealed under."""

    template: bytes
    person_key: WrappedPersonKey


@dataclass(frozen=True, slots=True)
class Search:
    """Candidates best first, of how many templates, as of which sealed event."""

    candidates: tuple[Candidate, ...]
    gallery_size: int
    sequence: int


def seal(
    *, person_id: UUID, modality: str, model: str, version: int, person_key: WrappedPersonKey | None, vector: bytes
) -> Sealed:
    """Seal a vector under the person's key; without one the matcher makes it."""
    answer = _call(
        "/v1/seal",
        {
            "person_id": str(person_id),
            "modality": modality,
            "model": model,
            "version": version,
            "person_key": _key_out(person_key) if person_key else None,
            "vector": _text(vector),
        },
    )
    return Sealed(template=b64decode(answer["sealed"]), person_key=_key_in(answer["person_key"]))


def verify(*, person_id: UUID, modality: str, model: str, vector: bytes) -> Candidate | None:
    """How alike a probe and a person's template are; None when there is no template to compare with."""
    try:
        answer = _call(
            "/v1/verify",
            {"person_id": str(person_id), "modality": modality, "model": model, "vector": _text(vector)},
        )
    except MatcherRefused as refusal:
        if refusal.code == _TEMPLATE_MISSING:
            return None
        raise
    return _candidate({**answer, "person_id": str(person_id)})


def identify(*, modality: str, model: str, vector: bytes, limit: int) -> Search:
    """The people who resemble a probe most."""
    answer = _call("/v1/identify", {"modality": modality, "model": model, "vector": _text(vector), "k": limit})
    return Search(
        candidates=tuple(_candidate(one) for one in answer["candidates"]),
        gallery_size=answer["gallery_size"],
        sequence=answer["sequence"],
    )


def refresh(*, person_id: UUID) -> None:
    """Let the matcher read the person's rows at once, rather than at its next look at the feed."""
    _best_effort("/v1/refresh", person_id)


def evict(*, person_id: UUID) -> None:
    """Let the matcher forget a person at once. The rows decide, so it may be out of reach."""
    _best_effort("/v1/evict", person_id)


def _best_effort(path: str, person_id: UUID) -> None:
    try:
        _call(path, {"person_id": str(person_id)})
    except MatcherUnavailable:
        log.warning("matcher_out_of_reach", path=path)


def _call(path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    organization = current_organization()
    claims = OrganizationClaims(
        id=organization.id, schema_name=organization.schema_name, role_name=organization.role_name
    )
    try:
        return matcher_client().call(path, body, organization=claims)
    except MatcherRefused as refusal:
        if refusal.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise VectorRefused(refusal.detail, field="vector") from refusal
        if refusal.status == HTTPStatus.CONFLICT:
            raise Conflict("The organization's keys changed meanwhile; send it again.") from refusal
        if refusal.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            # Ours to mend (service key, roles), and for the caller a matcher that is not there.
            log.error("matcher_refused_us", code=refusal.code)
            raise MatcherUnavailable from refusal
        raise


def _key_out(key: WrappedPersonKey) -> dict[str, Any]:
    return {
        "key_id": str(key.id),
        "organization_key_version": key.organization_key_version,
        "wrapped": _text(key.wrapped),
    }


def _key_in(answer: Mapping[str, Any]) -> WrappedPersonKey:
    return WrappedPersonKey(
        id=UUID(answer["key_id"]),
        organization_key_version=answer["organization_key_version"],
        wrapped=b64decode(answer["wrapped"]),
    )


def _candidate(answer: Mapping[str, Any]) -> Candidate:
    return Candidate(
        person_id=UUID(answer["person_id"]),
        template_id=UUID(answer["template_id"]),
        template_version=answer["template_version"],
        score=answer["score"],
    )


def _text(raw: bytes) -> str:
    return b64encode(raw).decode()
