"""Verbs on keys: make them with an organization, rotate them, seal secrets, erase a person.

What calls the KMS, the matcher or the blob store does so outside transactions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Max

from engine import ids
from engine.blobs.erasures import Erasure
from engine.clock import Clock, utc_now
from engine.errors import Conflict, DomainError
from engine.keys.contexts import PURPOSES, Purpose
from engine.keys.tree import OrganizationKeyRow, PersonKeyRow
from engine.matcher_client import MatcherUnavailable
from engine.tenancy.context import current_organization
from tenants.keyring.adapters import erasure_journal, key_holder, sealer
from tenants.keyring.models import OrganizationKey, OrganizationKeyState, PersonKey

REWRAP_BATCH = 500
EVICTION_SECONDS = 5.0


class KeysMissing(DomainError):
    """The organization's keys have not been made: its provisioning is not finished."""

    code = "keys_missing"
    status = 409
    title = "The organization has no keys yet"


class KeyRotated(Conflict):
    """The organization's key was rotated between the making of a person's key and its storing."""

    code = "key_rotated"
    title = "The organization's key was rotated meanwhile"


class InsideTransaction(RuntimeError):
    """This verb acts outside the database, so it cannot be part of somebody's transaction."""


@dataclass(frozen=True, slots=True)
class WrappedPersonKey:
    """A person key as the matcher gives and takes it."""

    id: UUID
    organization_key_version: int
    wrapped: bytes


def provision_keys() -> None:
    """Make the organization's first key of each purpose. Safe to repeat: what exists is kept."""
    _outside_transaction()
    have = set(OrganizationKey.objects.values_list("purpose", flat=True))
    for purpose in PURPOSES:
        if purpose not in have:
            _add_version(purpose=purpose, version=1)


def rotate_organization_key(*, purpose: Purpose, batch: int = REWRAP_BATCH) -> OrganizationKey:
    """Make a new version active, move all person keys to it, and retire the old one.

    When an earlier rotation was interrupted it is finished, and no further version is made. Raises
    KeysMissing before provisioning.
    """
    _outside_transaction()
    retiring = OrganizationKey.objects.filter(purpose=purpose, state=OrganizationKeyState.RETIRING)
    if not retiring.exists():
        latest = OrganizationKey.objects.filter(purpose=purpose).aggregate(latest=Max("version"))["latest"]
        if latest is None:
            raise KeysMissing
        _add_version(purpose=purpose, version=latest + 1)
    new = _active(purpose)
    for old in retiring.order_by("version"):
        _move_person_keys(purpose=purpose, old=old, new=new, batch=batch)
        _retire(old)
    return new


def biometric_person_key(*, person_id: UUID) -> WrappedPersonKey | None:
    """The key under which the matcher seals this person's templates, None when there is none yet."""
    key = PersonKey.objects.filter(person_id=person_id, purpose="biometric").first()
    if key is None:
        return None
    return WrappedPersonKey(
        id=key.id, organization_key_version=key.organization_key_version, wrapped=bytes(key.wrapped)
    )


def store_biometric_person_key(*, person_id: UUID, key: WrappedPersonKey) -> PersonKey:
    """Keep a key that the matcher made with a person's first template, in the same transaction.

    Raises KeyRotated when the organization key that wraps it is no longer the active one, and
    IntegrityError when the person has a key already.
    """
    return _store_person_key(
        person_id=person_id,
        purpose="biometric",
        key_id=key.id,
        wrapped=key.wrapped,
        organization_key_version=key.organization_key_version,
    )


def ensure_person_key(*, person_id: UUID, purpose: Purpose) -> PersonKey:
    """The person's key of this purpose, made when there is none. Raises KeysMissing, KeyRotated."""
    if found := PersonKey.objects.filter(person_id=person_id, purpose=purpose).first():
        return found
    _outside_transaction()
    active = _active(purpose)
    made = key_holder(purpose).new_person_key(organization_key=_row(active), key_id=ids.uuid7(), person_id=person_id)
    try:
        return _store_person_key(
            person_id=person_id,
            purpose=purpose,
            key_id=made.id,
            wrapped=made.wrapped,
            organization_key_version=active.version,
        )
    except IntegrityError:
        # Another caller was first; its key is the person's.
        return PersonKey.objects.get(person_id=person_id, purpose=purpose)


def erase_person_keys(
    *,
    person_id: UUID,
    clock: Clock = utc_now,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Erase a person: nothing that was sealed under the person's keys can be opened any more.

    Journalled outside the database first, so that a restored backup erases again; then the wrapped
    keys go; then the matcher forgets, for which this waits up to five seconds. Raises
    MatcherUnavailable when it did not answer in that time. Safe to repeat, which then only evicts.
    """
    _outside_transaction()
    erasure = Erasure(organization_id=current_organization().id, person_id=person_id, erased_at=clock())
    erasure_journal().record(erasure)
    _delete_person_keys([person_id])
    deadline = monotonic() + EVICTION_SECONDS
    while True:
        try:
            key_holder("biometric").evict(person_id=person_id)
        except MatcherUnavailable:
            if monotonic() >= deadline:
                raise
            sleep(0.2)
        else:
            return


def forget_in_memory() -> None:
    """Let the matcher and this process overwrite what they hold in clear of the organization.

    Raises MatcherUnavailable while the matcher cannot be reached.
    """
    _outside_transaction()
    for purpose in PURPOSES:
        key_holder(purpose).drop()


def replay_erasures() -> list[UUID]:
    """After a restore: erase again everyone whom the journal names; returns who they are.

    The restored organization must not be opened before this has returned.
    """
    _outside_transaction()
    people = [erasure.person_id for erasure in erasure_journal().of_organization(current_organization().id)]
    _delete_person_keys(people)
    return people


def seal_secret(*, purpose_name: str, record_id: str, plaintext: bytes) -> bytes:
    """Seal a secret of the current organization for one use and record. Raises KeysMissing.

    `purpose_name` says what it is for ("webhooks.secret"), `record_id` whose it is; the same two open it.
    """
    return sealer(_secrets_row).seal(purpose_name=purpose_name, record_id=record_id, plaintext=plaintext)


def open_secret(*, purpose_name: str, record_id: str, sealed: bytes) -> bytes:
    """The secret. Raises engine.keys.envelope.EnvelopeBroken for another use, record or organization."""
    return sealer(_secrets_row).open(purpose_name=purpose_name, record_id=record_id, sealed=sealed)


def _secrets_row(key_id: UUID | None) -> OrganizationKeyRow | None:
    if key_id is None:
        return _row(_active("secrets"))
    found = OrganizationKey.objects.filter(id=key_id).first()
    return _row(found) if found else None


def _add_version(*, purpose: Purpose, version: int) -> None:
    """Make a version and set it active. A concurrent caller that was first wins, and that is fine."""
    made = key_holder(purpose).new_organization_key(key_id=ids.uuid7(), version=version)
    try:
        with transaction.atomic():
            # The unique index on the active version is checked per statement: the old one goes first.
            OrganizationKey.objects.active(purpose).filter(version__lt=version).update(
                state=OrganizationKeyState.RETIRING
            )
            OrganizationKey.objects.create(
                id=made.id, purpose=purpose, version=version, wrapped=made.wrapped, kms_key_id=made.kms_key_id
            )
    except IntegrityError:
        if not OrganizationKey.objects.filter(purpose=purpose, version=version).exists():
            raise


def _move_person_keys(*, purpose: Purpose, old: OrganizationKey, new: OrganizationKey, batch: int) -> None:
    holder, old_row, new_row = key_holder(purpose), _row(old), _row(new)
    left = PersonKey.objects.filter(purpose=purpose, organization_key_version=old.version)
    while keys := list(left.order_by("id")[:batch]):
        moved = holder.rewrap([_person_row(key) for key in keys], old=old_row, new=new_row)
        with transaction.atomic():
            for row in moved:
                # Filtered again: the person may have been erased, or another rotation may have moved it.
                left.filter(id=row.id).update(wrapped=row.wrapped, organization_key_version=new.version)


def _retire(old: OrganizationKey) -> None:
    with transaction.atomic():
        locked = OrganizationKey.objects.select_for_update().get(id=old.id)
        if PersonKey.objects.filter(purpose=old.purpose, organization_key_version=old.version).exists():
            raise KeyRotated(f"Person keys of version {old.version} appeared meanwhile; rotate again to finish.")
        locked.state = OrganizationKeyState.RETIRED
        locked.save(update_fields=["state"])


def _store_person_key(
    *, person_id: UUID, purpose: Purpose, key_id: UUID, wrapped: bytes, organization_key_version: int
) -> PersonKey:
    with transaction.atomic():
        # The lock orders this against a rotation: either it sees the row, or the row is refused here.
        active = OrganizationKey.objects.select_for_update().filter(
            purpose=purpose, version=organization_key_version, state=OrganizationKeyState.ACTIVE
        )
        if active.first() is None:
            raise KeyRotated
        return PersonKey.objects.create(
            id=key_id,
            person_id=person_id,
            purpose=purpose,
            organization_key_version=organization_key_version,
            wrapped=wrapped,
        )


def _delete_person_keys(people: Sequence[UUID]) -> None:
    with transaction.atomic():
        PersonKey.objects.filter(person_id__in=people).delete()


def _active(purpose: Purpose) -> OrganizationKey:
    found = OrganizationKey.objects.active(purpose).first()
    if found is None:
        raise KeysMissing
    return found


def _row(key: OrganizationKey) -> OrganizationKeyRow:
    return key.row(organization_id=current_organization().id)


def _person_row(key: PersonKey) -> PersonKeyRow:
    return key.row(organization_id=current_organization().id)


def _outside_transaction() -> None:
    # The test suite's own outer transaction is not a caller's.
    if len(connection.atomic_blocks) > getattr(connection, "test_atomic_blocks", 0):
        raise InsideTransaction
