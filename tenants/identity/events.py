"""What other systems may learn about people: ids and purposes, nothing that identifies anybody."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class _PersonEvent:
    schema_version: ClassVar[int] = 1

    person: str

    def body(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PersonCreated(_PersonEvent):
    type: ClassVar[str] = "identity.person.created"


@dataclass(frozen=True, slots=True)
class PersonErased(_PersonEvent):
    type: ClassVar[str] = "identity.person.erased"


@dataclass(frozen=True, slots=True)
class ConsentGranted(_PersonEvent):
    type: ClassVar[str] = "identity.consent.granted"

    consent: str
    purpose: str


@dataclass(frozen=True, slots=True)
class ConsentWithdrawn(_PersonEvent):
    type: ClassVar[str] = "identity.consent.withdrawn"

    consent: str
    purpose: str


@dataclass(frozen=True, slots=True)
class TemplateEnrolled(_PersonEvent):
    type: ClassVar[str] = "identity.template.enrolled"

    template: str
    modality: str
    model: str
    version: int


@dataclass(frozen=True, slots=True)
class TemplateRetired(_PersonEvent):
    type: ClassVar[str] = "identity.template.retired"

    template: str
