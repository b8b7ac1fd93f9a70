"""Organization keys and person keys: each opens only in its own organization and for its person."""

import time
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from engine.keys.adapters.file import FileKms, create_key, set_state
from engine.keys.envelope import EnvelopeBroken
from engine.keys.kms import KmsKeyUnusable, KmsRefused
from engine.keys.material import KeyWiped, SecretKey
from engine.keys.tree import (
    OrganizationKeyRow,
    OrganizationKeys,
    new_organization_key,
    new_person_key,
    open_person_key,
    rewrap_person_key,
)

A, B = UUID(int=0xA), UUID(int=0xB)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_key(tmp_path / "kms")
    return tmp_path / "kms"


@pytest.fixture
def kms(folder: Path) -> FileKms:
    return FileKms(folder)


def organization_key(kms: FileKms, organization_id: UUID = A, version: int = 1) -> OrganizationKeyRow:
    return new_organization_key(
        kms, key_id=uuid4(), organization_id=organization_id, purpose="biometric", version=version
    )


class Seconds:
    """A clock that stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_organization_key_opens_only_as_the_row_it_was_made_for(kms: FileKms) -> None:
    row = organization_key(kms)
    keys = OrganizationKeys(kms)
    keys.get(row)
    for changed in (
        replace(row, organization_id=B),
        replace(row, purpose="documents"),
        replace(row, version=2),
        replace(row, id=uuid4()),
        replace(row, wrapped=row.wrapped[:-1] + bytes([row.wrapped[-1] ^ 1])),
    ):
        with pytest.raises(KmsRefused):
            keys.get(changed)


def test_a_key_is_asked_for_again_after_its_time(folder: Path, kms: FileKms) -> None:
    clock = Seconds()
    keys = OrganizationKeys(kms, max_seconds=300, clock=clock)
    row = organization_key(kms)
    first = keys.get(row)
    set_state(folder, "platform", "disabled")
    clock.now = 299
    assert keys.get(row) is first
    clock.now = 300
    with pytest.raises(KmsKeyUnusable):
        keys.get(row)
    with pytest.raises(KeyWiped), first.use():
        pass
    set_state(folder, "platform", "enabled")
    assert keys.get(row) is not first


def test_no_key_is_cached_for_more_than_five_minutes(kms: FileKms) -> None:
    with pytest.raises(ValueError, match="300"):
        OrganizationKeys(kms, max_seconds=301)


def test_the_row_of_a_key_is_known_while_the_key_is_fresh(kms: FileKms) -> None:
    clock = Seconds()
    keys = OrganizationKeys(kms, max_seconds=60, clock=clock)
    row = organization_key(kms)
    assert keys.known(A, row.id) is None
    keys.get(row)
    assert keys.known(A, row.id) == row
    assert keys.known(B, row.id) is None
    clock.now = 60
    assert keys.known(A, row.id) is None


def test_forgetting_overwrites_one_organization_and_no_other(kms: FileKms) -> None:
    keys = OrganizationKeys(kms)
    row_a, row_b = organization_key(kms, A), organization_key(kms, B)
    key_a, key_b = keys.get(row_a), keys.get(row_b)
    keys.forget(A)
    with pytest.raises(KeyWiped), key_a.use():
        pass
    assert keys.get(row_b) is key_b
    keys.forget()
    with pytest.raises(KeyWiped), key_b.use():
        pass


def test_expired_keys_are_overwritten_without_being_asked_for(kms: FileKms) -> None:
    clock = Seconds()
    keys = OrganizationKeys(kms, max_seconds=60, clock=clock)
    key = keys.get(organization_key(kms))
    clock.now = 59
    keys.forget_expired()
    with key.use():
        pass
    clock.now = 60
    keys.forget_expired()
    with pytest.raises(KeyWiped), key.use():
        pass


def test_a_key_that_is_renewed_while_it_is_lent_is_fetched_again(kms: FileKms) -> None:
    row = organization_key(kms)
    keys = OrganizationKeys(kms)
    get = keys.get
    wiped: list[SecretKey] = []

    def renewed_meanwhile(row: OrganizationKeyRow) -> SecretKey:
        key = get(row)
        if not wiped:
            wiped.append(key)
            keys.forget()
        return key

    keys.get = renewed_meanwhile  # type: ignore[method-assign]
    with keys.lend(row) as material:
        assert material != bytes(32)
    with pytest.raises(KeyWiped), wiped[0].use():
        pass


def test_a_key_that_nobody_asks_for_again_is_overwritten_by_itself(kms: FileKms) -> None:
    keys = OrganizationKeys(kms, max_seconds=0.3)
    held = [keys.get(organization_key(kms)) for _ in range(3)]
    deadline = time.monotonic() + 10
    while any("wiped" not in repr(key) for key in held):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    again = keys.get(organization_key(kms))
    while "wiped" not in repr(again):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_person_key_opens_only_for_its_person_and_organization(kms: FileKms) -> None:
    keys = OrganizationKeys(kms)
    row_a, row_b = organization_key(kms, A), organization_key(kms, B)
    person = new_person_key(keys, row_a, key_id=uuid4(), person_id=UUID(int=1))
    with open_person_key(keys, row_a, person).use() as material:
        assert len(material) == 32
    for changed in (
        replace(person, person_id=UUID(int=2)),
        replace(person, organization_id=B),
        replace(person, purpose="documents"),
        replace(person, id=uuid4()),
    ):
        with pytest.raises(EnvelopeBroken):
            open_person_key(keys, row_a, changed)
    with pytest.raises(EnvelopeBroken):
        open_person_key(keys, row_b, person)
    with pytest.raises(EnvelopeBroken):
        open_person_key(keys, row_b, replace(person, organization_id=B))


def test_rewrapping_changes_the_wrapping_and_not_the_key(kms: FileKms) -> None:
    keys = OrganizationKeys(kms)
    old, new = organization_key(kms), organization_key(kms, version=2)
    person = new_person_key(keys, old, key_id=uuid4(), person_id=UUID(int=1))
    again = rewrap_person_key(keys, person, old=old, new=new)
    with (
        open_person_key(keys, old, person).use() as before,
        open_person_key(keys, new, again).use() as after,
    ):
        assert before == after
    with pytest.raises(EnvelopeBroken):
        open_person_key(keys, old, again)
    assert again == replace(person, wrapped=again.wrapped)
