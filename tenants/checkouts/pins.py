"""PINs: something that a person knows, for amounts above the organization's limit."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from uuid import UUID

from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction

from engine import ids
from engine.clock import Clock, utc_now
from engine.errors import InvalidInput
from engine.principals import Principal
from tenants.audit import services as audit
from tenants.checkouts.models import PersonPin
from tenants.events.services import SealedEvent
from tenants.identity import selectors as identity

WRONG_ATTEMPTS_MAX = 5
_PIN = re.compile(r"[0-9]{4,12}\Z")
_ERASED = "identity.person.erased"
_OBVIOUS = ("0123456789012", "9876543210987")


class MalformedPin(InvalidInput):
    """A PIN has 4 to 12 digits, and is not the first one that a thief would try."""

    code = "malformed_pin"
    title = "The PIN is not acceptable"


def set_pin(*, person_id: UUID, pin: str, by: Principal, clock: Clock = utc_now) -> None:
    """Give a person a PIN, or another one. Raises MalformedPin, NotFound."""
    if not _PIN.match(pin):
        raise MalformedPin("A PIN has 4 to 12 digits.", field="pin")
    if len(set(pin)) == 1 or any(pin in run for run in _OBVIOUS):
        raise MalformedPin("This PIN is too easily guessed.", field="pin")
    hashed = make_password(pin)
    with transaction.atomic():
        # Held to the end: an erasure that comes meanwhile waits, and then forgets this PIN as well.
        person = identity.person(person_id=person_id, lock=True)
        PersonPin.objects.update_or_create(
            person_id=person.id,
            defaults={"hashed": hashed, "wrong_attempts": 0, "changed_at": clock()},
        )
        audit.write(action="pin.set", actor=by, resource=person.public_id)


def remove_pin(*, person_id: UUID, by: Principal) -> None:
    """Take a person's PIN away. Raises NotFound when there is no such person."""
    person = identity.person(person_id=person_id)
    with transaction.atomic():
        removed, _ = PersonPin.objects.filter(person_id=person.id).delete()
        if removed:
            audit.write(action="pin.removed", actor=by, resource=person.public_id)


def follow_erasures(batch: Sequence[SealedEvent]) -> None:
    """Forget the PINs of erased people, in the transaction that seals their erasure."""
    erased = [ids.decode("per", json.loads(event.body)["data"]["person"]) for event in batch if event.type == _ERASED]
    if erased:
        PersonPin.objects.filter(person_id__in=erased).delete()


def accepts(*, person_id: UUID, pin: str) -> bool:
    """Whether the PIN is the person's, inside the transaction that decides.

    A wrong guess is counted with that decision; after WRONG_ATTEMPTS_MAX in a row nothing is right
    until the PIN is set anew.
    """
    row = PersonPin.objects.select_for_update().filter(person_id=person_id).first()
    if row is None or row.wrong_attempts >= WRONG_ATTEMPTS_MAX:
        return False
    is_right = check_password(pin, row.hashed)
    row.wrong_attempts = 0 if is_right else row.wrong_attempts + 1
    row.save(update_fields=["wrong_attempts"])
    return is_right
