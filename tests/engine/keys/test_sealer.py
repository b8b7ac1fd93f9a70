"""Secrets open for the record and the use that they were sealed for, in their organization."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from engine.keys.adapters.file import FileKms, create_key
from engine.keys.contexts import Purpose
from engine.keys.envelope import EnvelopeBroken
from engine.keys.sealer import Sealer, UnknownKey
from engine.keys.tree import OrganizationKeyRow, OrganizationKeys, new_organization_key


class Rows:
    """An organization's keys: the last one is active."""

    def __init__(self, *rows: OrganizationKeyRow) -> None:
        self.rows = list(rows)

    def __call__(self, key_id: UUID | None) -> OrganizationKeyRow | None:
        if key_id is None:
            return self.rows[-1]
        return next((row for row in self.rows if row.id == key_id), None)


@pytest.fixture
def kms(tmp_path: Path) -> FileKms:
    create_key(tmp_path / "kms")
    return FileKms(tmp_path / "kms")


def row(kms: FileKms, organization_id: UUID, version: int = 1, purpose: Purpose = "secrets") -> OrganizationKeyRow:
    return new_organization_key(kms, key_id=uuid4(), organization_id=organization_id, purpose=purpose, version=version)


def test_a_secret_opens_for_its_use_and_record_alone(kms: FileKms) -> None:
    organization_id = uuid4()
    sealer = Sealer(
        OrganizationKeys(kms),
        organization_id=organization_id,
        row_of=Rows(row(kms, organization_id)),
    )
    sealed = sealer.seal(purpose_name="webhook", record_id="we_1", plaintext=b"whsec")
    assert sealer.open(purpose_name="webhook", record_id="we_1", sealed=sealed) == b"whsec"
    assert b"whsec" not in sealed
    for use, record in (("webhook", "we_2"), ("oauth", "we_1"), ("", "webhookwe_1")):
        with pytest.raises(EnvelopeBroken):
            sealer.open(purpose_name=use, record_id=record, sealed=sealed)


def test_another_organization_cannot_open_it_even_with_the_key_row(kms: FileKms) -> None:
    a, b = uuid4(), uuid4()
    rows_a = Rows(row(kms, a))
    keys = OrganizationKeys(kms)
    sealed = Sealer(keys, organization_id=a, row_of=rows_a).seal(
        purpose_name="webhook", record_id="we_1", plaintext=b"whsec"
    )
    with pytest.raises(UnknownKey):
        Sealer(keys, organization_id=b, row_of=Rows(row(kms, b))).open(
            purpose_name="webhook", record_id="we_1", sealed=sealed
        )
    with pytest.raises(UnknownKey):
        Sealer(keys, organization_id=b, row_of=rows_a).open(purpose_name="webhook", record_id="we_1", sealed=sealed)


def test_after_a_rotation_old_secrets_open_and_new_ones_use_the_new_key(kms: FileKms) -> None:
    organization_id = uuid4()
    rows = Rows(row(kms, organization_id))
    sealer = Sealer(OrganizationKeys(kms), organization_id=organization_id, row_of=rows)
    old = sealer.seal(purpose_name="oauth", record_id="k1", plaintext=b"old")
    rows.rows.append(row(kms, organization_id, version=2))
    new = sealer.seal(purpose_name="oauth", record_id="k2", plaintext=b"new")
    assert sealer.open(purpose_name="oauth", record_id="k1", sealed=old) == b"old"
    assert sealer.open(purpose_name="oauth", record_id="k2", sealed=new) == b"new"
    del rows.rows[0]
    with pytest.raises(UnknownKey):
        sealer.open(purpose_name="oauth", record_id="k1", sealed=old)


def test_only_the_tree_of_secrets_is_used(kms: FileKms) -> None:
    organization_id = uuid4()
    rows = Rows(row(kms, organization_id, purpose="documents"))
    sealer = Sealer(OrganizationKeys(kms), organization_id=organization_id, row_of=rows)
    with pytest.raises(UnknownKey):
        sealer.seal(purpose_name="oauth", record_id="k1", plaintext=b"x")


def test_what_is_no_envelope_is_refused(kms: FileKms) -> None:
    organization_id = uuid4()
    sealer = Sealer(
        OrganizationKeys(kms),
        organization_id=organization_id,
        row_of=Rows(row(kms, organization_id)),
    )
    with pytest.raises(EnvelopeBroken):
        sealer.open(purpose_name="oauth", record_id="k1", sealed=b"whsec_in_clear")
