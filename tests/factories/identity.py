"""People, consents, templates and probes, made over HTTP as an organization's back office makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from rest_framework.test import APIClient

from tenants.identity.models import Template
from tests.factories.checkouts import face, seen

Face = np.ndarray[Any, Any]


def numbers(vector: Face) -> list[float]:
    """A vector as the API takes it."""
    return [float(number) for number in vector]


def alike(of: Face, *, similarity: float) -> Face:
    """A unit vector with this cosine similarity to a unit vector."""
    other = face()
    other -= of * float(np.dot(other, of))
    other /= np.linalg.norm(other)
    made: Face = of * similarity + other * float(np.sqrt(1 - similarity**2))
    return made


def unopenable_template(person_id: UUID) -> Template:
    """A row of a template that nothing can open, made without a matcher. Inside the organization's context."""
    return Template.objects.create(
        person_id=person_id, modality="face", model="model-1", version=1, dimensions=64, sealed=b"sealed"
    )


@dataclass(frozen=True, slots=True)
class Register:
    """One who keeps the register of people: a signed-in client and the model of its vectors."""

    client: APIClient
    model: str

    def person(self, *, consents: tuple[str, ...] = ("identify",), **fields: Any) -> str:
        """The id of a new person who agreed to these purposes."""
        answer = self.client.post("/v1/people", fields)
        assert answer.status_code == 201, answer.content
        person: str = answer.json()["id"]
        for purpose in consents:
            self.consent(person, purpose)
        return person

    def consent(self, person: str, purpose: str = "identify") -> str:
        """The id of a consent."""
        answer = self.client.post("/v1/consents", {"person": person, "purpose": purpose, "evidence": "form 7"})
        assert answer.status_code == 201, answer.content
        consent: str = answer.json()["id"]
        return consent

    def enroll(self, person: str, vector: Any, *, key: str | None = None, **changes: Any) -> Any:
        """The answer to an enrolment."""
        return self._biometric("/v1/templates", vector, key, person=person, **changes)

    def verify(self, person: str, vector: Any, *, key: str | None = None, **changes: Any) -> Any:
        """The answer to a 1:1 comparison."""
        return self._biometric("/v1/verifications", vector, key, person=person, **changes)

    def identify(self, vector: Any, *, key: str | None = None, **changes: Any) -> Any:
        """The answer to a 1:N search."""
        return self._biometric("/v1/identifications", vector, key, **changes)

    def enrolled(self, looks: Face, **fields: Any) -> str:
        """The id of a new person who agreed to be identified and has this face."""
        person = self.person(**fields)
        answer = self.enroll(person, looks)
        assert answer.status_code == 201, answer.content
        return person

    def found(self, looks: Face, **changes: Any) -> tuple[str, str | None]:
        """The outcome of a search for a face as a camera sees it now, and whom it names."""
        answer = self.identify(seen(looks), **changes)
        assert answer.status_code == 201, answer.content
        return answer.json()["outcome"], answer.json()["person"]

    def _biometric(self, path: str, vector: Any, key: str | None, **fields: Any) -> Any:
        body = {
            "modality": "face",
            "model": self.model,
            "vector": numbers(vector) if isinstance(vector, np.ndarray) else vector,
            **fields,
        }
        return self.client.post(path, body, headers={"Idempotency-Key": key} if key else {})
