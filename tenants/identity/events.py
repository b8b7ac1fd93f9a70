"""What other systems may learn about people: ids and purposes, nothing that identifies anybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tenants.events.events import Event


@dataclass(frozen=True, kw_only=True)
class _PersonEvent(Event):
    person: str


@dataclass(frozen=True, kw_only=True)
class PersonCreated(_PersonEvent):
    type: ClassVar[str] = "identity.person.created"


@dataclass(frozen=True, kw_only=True)
class PersonErased(_PersonEvent):
    type: ClassVar[str] = "identity.person.erased"


@dataclass(frozen=True, kw_only=True)
class ConsentGranted(_PersonEvent):
    type: ClassVar[str] = "identity.consent.granted"

    consent: str
    purpose: str


@dataclass(frozen=True, kw_only=True)
class ConsentWithdrawn(_PersonEvent):
    type: ClassVar[str] = "identity.consent.withdrawn"

    consent: str
    purpose: str


@dataclass(frozen=True, kw_only=True)
class TemplateEnrolled(_PersonEvent):
    type: ClassVar[str] = "identity.template.enrolled"

    template: str
    modality: str
    model: str
    version: int


@dataclass(frozen=True, kw_only=True)
class TemplateRetired(_PersonEvent):
    type: ClassVar[str] = "identity.template.retired"

    template: str
