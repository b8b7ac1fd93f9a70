"""People of two organizations whose templates a real matcher seals and finds."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import numpy.typing as npt
from django.db import transaction

from engine import ids
from engine.clock import utc_now
from engine.matcher_client import MatcherClient, MatcherRefused
from engine.service_tokens import OrganizationClaims
from engine.tenancy import directory
from engine.tenancy.context import OrganizationContext, organization
from tenants.events import services as events
from tenants.identity.events import ConsentWithdrawn, TemplateEnrolled
from tenants.identity.models import Consent, Person, Template
from tenants.keyring.models import PersonKey
from tests.harness import environment
from tests.harness.live import LiveDatabase
from tests.harness.matcher import RunningMatcher, running_matcher

Vector = npt.NDArray[np.float32]

_models = itertools.count()


def new_model() -> str:
    """A model that no other test uses, hence a gallery of the test's own."""
    return f"model-{next(_models)}"


def vector(seed: int, dimensions: int = 128) -> Vector:
    """A vector that is unlike those of other seeds."""
    return np.random.default_rng(seed).standard_normal(dimensions).astype(np.float32)


def text(values: Vector) -> str:
    """A vector as it travels."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def claims(context: OrganizationContext) -> OrganizationClaims:
    return OrganizationClaims(id=context.id, schema_name=context.schema_name, role_name=context.role_name)


@dataclass(frozen=True)
class Enrolled:
    person_id: UUID
    template_id: UUID
    consent_id: UUID | None


@dataclass
class World:
    """A running matcher, its client, and the organizations a and b."""

    matcher: RunningMatcher
    database: LiveDatabase
    client: MatcherClient = field(init=False)
    a: OrganizationContext = field(init=False)
    b: OrganizationContext = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.matcher.client()
        self.a, self.b = (self._organization(letter) for letter in "ab")

    def call(self, context: OrganizationContext, path: str, **body: Any) -> dict[str, Any]:
        return self.client.call(path, body, organization=claims(context))

    def refused(self, context: OrganizationContext, path: str, **body: Any) -> MatcherRefused:
        """The refusal of a call that must not succeed."""
        try:
            answer = self.call(context, path, **body)
        except MatcherRefused as refusal:
            return refusal
        raise AssertionError(f"{path} answered {sorted(answer)}")

    def identify(self, context: OrganizationContext, model: str, values: Vector, k: int = 5) -> dict[str, Any]:
        return self.call(context, "/v1/identify", modality="face", model=model, vector=text(values), k=k)

    def found(self, context: OrganizationContext, model: str, values: Vector, k: int = 5) -> list[UUID]:
        """Whom a search proposes, best first."""
        return [UUID(each["person_id"]) for each in self.identify(context, model, values, k)["candidates"]]

    def enroll(
        self,
        context: OrganizationContext,
        model: str,
        values: Vector,
        *,
        modality: str = "face",
        consent: bool = True,
        person_id: UUID | None = None,
        version: int = 1,
        announce: bool = True,
    ) -> Enrolled:
        """A person with a template, committed; `announce` seals the event that says so."""
        with organization(context):
            held = self._person_key(person_id) if person_id else None
            person_id = person_id or uuid4()
            sealed = self.call(
                context,
                "/v1/seal",
                person_id=str(person_id),
                modality=modality,
                model=model,
                version=version,
                person_key=held,
                vector=text(values),
            )
            with transaction.atomic():
                person, _ = Person.objects.get_or_create(id=person_id)
                consent_row = None
                if consent:
                    consent_row, _ = Consent.objects.get_or_create(
                        person=person, purpose="identify", defaults={"granted_at": utc_now(), "evidence": "form"}
                    )
                if held is None:
                    self._store_key(person_id, sealed["person_key"])
                template = Template.objects.create(
                    person=person,
                    modality=modality,
                    model=model,
                    version=version,
                    dimensions=sealed["dimensions"],
                    sealed=base64.b64decode(sealed["sealed"]),
                )
                events.record(event=enrolled(person_id, template))
            if announce:
                events.seal()
        return Enrolled(person_id, template.id, consent_row.id if consent_row else None)

    def withdraw(self, context: OrganizationContext, person: Enrolled, *, announce: bool = True) -> None:
        """End the consent, committed; `announce` seals the event that says so."""
        with organization(context):
            with transaction.atomic():
                Consent.objects.filter(id=person.consent_id).update(withdrawn_at=utc_now())
                events.record(
                    event=ConsentWithdrawn(
                        person=ids.encode("per", person.person_id),
                        consent=ids.encode("con", person.consent_id or uuid4()),
                        purpose="identify",
                    )
                )
            if announce:
                events.seal()

    def _person_key(self, person_id: UUID) -> dict[str, Any]:
        key = PersonKey.objects.get(person_id=person_id, purpose="biometric")
        return {
            "key_id": str(key.id),
            "organization_key_version": key.organization_key_version,
            "wrapped": base64.b64encode(key.wrapped).decode(),
        }

    def _store_key(self, person_id: UUID, key: dict[str, Any]) -> None:
        PersonKey.objects.create(
            id=UUID(key["key_id"]),
            person_id=person_id,
            purpose="biometric",
            organization_key_version=key["organization_key_version"],
            wrapped=base64.b64decode(key["wrapped"]),
        )

    def _organization(self, letter: str) -> OrganizationContext:
        found = directory.by_host(f"org-{letter}.{environment.BASE_DOMAIN}")
        assert found is not None
        return found


def enrolled(person_id: UUID, template: Template) -> TemplateEnrolled:
    """The event of an enrolment."""
    return TemplateEnrolled(
        person=ids.encode("per", person_id),
        template=template.public_id,
        modality=template.modality,
        model=template.model,
        version=template.version,
    )


@contextmanager
def world(database: LiveDatabase, log: Path, **settings: str) -> Iterator[World]:
    """A world whose matcher is stopped at the end."""
    with running_matcher(log=log, **{"database_url": database.app_url, **settings}) as matcher:
        made = World(matcher=matcher, database=database)
        try:
            yield made
        finally:
            made.client.close()
