"""Reads of people, for the apps above."""

from __future__ import annotations

from uuid import UUID

from engine.errors import NotFound
from tenants.identity.models import Person


def person(*, person_id: UUID, lock: bool = False) -> Person:
    """A person who is not erased and not being erased. Raises NotFound.

    With ``lock`` no erasure begins before the caller's transaction has ended.
    """
    people = Person.objects.active()
    if lock:
        people = people.select_for_update(no_key=True)
    found = people.filter(id=person_id).first()
    if found is None:
        raise NotFound
    return found
