"""Reads of people, for the apps above."""

from __future__ import annotations

from uuid import UUID

from engine.errors import NotFound
from tenants.identity.models import Person


def person(*, person_id: UUID) -> Person:
    """A person who is not erased and not being erased. Raises NotFound."""
    found = Person.objects.active().filter(id=person_id).first()
    if found is None:
        raise NotFound
    return found
