"""Faces, people who can pay, and terminals that ask for checkouts."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np

from engine import ids
from engine.clock import utc_now
from engine.ids import uuid7
from engine.tenancy.context import OrganizationContext, organization
from tenants.checkouts.gateway import CheckoutFrame, CheckoutReply, checkout
from tenants.devices.gateway.registry import Session
from tenants.identity import services as identity
from tenants.payments.models import ProviderAccount
from tests.factories import payments as make
from tests.factories.devices import Enrolled, enrolled

MODALITY = "face"
DIMENSIONS = 128
_random = np.random.default_rng(20_260_504)


def face() -> np.ndarray[Any, Any]:
    """Somebody new."""
    vector = _random.standard_normal(DIMENSIONS).astype("<f4")
    return vector / np.linalg.norm(vector)


def seen(of: np.ndarray[Any, Any], *, noise: float = 0.02) -> np.ndarray[Any, Any]:
    """The same face as a camera sees it another time: never the same bytes twice."""
    vector = of + _random.standard_normal(DIMENSIONS).astype("<f4") * noise
    return (vector / np.linalg.norm(vector)).astype("<f4")


def as_text(vector: np.ndarray[Any, Any]) -> str:
    """A probe as a frame carries it."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


@dataclass(frozen=True)
class Customer:
    """A person who was enrolled, agreed, and has a card."""

    id: UUID
    face: np.ndarray[Any, Any]
    template_id: UUID
    consents: dict[str, UUID] = field(default_factory=dict)

    @property
    def public_id(self) -> str:
        return ids.encode("per", self.id)


def customer(
    accounts: list[ProviderAccount],
    *,
    model: str,
    looks: np.ndarray[Any, Any] | None = None,
    token: str = "pm_card_visa",
) -> Customer:
    """Inside the organization's context, with a matcher that answers."""
    person = identity.create_person(display_name="Ada", by=make.STAFF)
    consents = {
        purpose: identity.grant_consent(person_id=person.id, purpose=purpose, evidence="form 7", by=make.STAFF).id
        for purpose in ("identify", "pay")
    }
    mine = face() if looks is None else looks
    template = identity.enroll_template(
        template_id=uuid7(),
        person_id=person.id,
        modality=MODALITY,
        model=model,
        vector=mine.astype("<f4").tobytes(),
        by=make.STAFF,
    )
    if accounts:
        make.payment_method(accounts, token, person=person.id)
    return Customer(id=person.id, face=mine, template_id=template.id, consents=consents)


@dataclass
class Terminal:
    """An enrolled terminal that counts its checkouts."""

    device: Enrolled
    model: str
    sequence: int = 0

    @property
    def session(self) -> Session:
        return Session(
            id=uuid7(),
            organization=self.device.organization,
            device=self.device.principal,
            credential_id=self.device.credential_id,
            key=self.device.key.public,
        )

    def frame(self, looks: np.ndarray[Any, Any], *, at: datetime | None = None, **changes: Any) -> dict[str, Any]:
        """A signed checkout of 12.50 in the organization's currency."""
        self.sequence += 1
        values = {
            "type": "checkout",
            "sequence": self.sequence,
            "amount_minor": 1250,
            "currency": self.device.organization.currency,
            "modality": MODALITY,
            "model": self.model,
            "probe": as_text(looks),
            "captured_at": (at or utc_now()).isoformat(),
            "liveness": {"method": "passive", "score": 0.97},
            **changes,
        }
        return self.device.key.sign(values)

    def send(self, frame: dict[str, Any]) -> CheckoutReply:
        """Hand the frame to its handler, as the gateway does after it has checked the schema."""
        with organization(self.device.organization):
            return checkout(session=self.session, frame=CheckoutFrame.model_validate(frame), raw=frame)

    def charge(self, looks: np.ndarray[Any, Any], **changes: Any) -> CheckoutReply:
        """A new checkout of what the camera sees now."""
        return self.send(self.frame(seen(looks), **changes))


def terminal(org: OrganizationContext, *, model: str) -> Terminal:
    """A terminal at a site of its own."""
    return Terminal(device=enrolled(org), model=model)
