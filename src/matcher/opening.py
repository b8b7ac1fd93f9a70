"""Opens and seals with one organization's biometric keys, and says as problems why it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self
from uuid import UUID

from engine.keys import contexts, envelope, tree
from engine.keys.envelope import EnvelopeBroken
from engine.keys.kms import KmsError, KmsKeyNotFound, KmsKeyUnusable, KmsRefused
from engine.keys.material import overwrite
from engine.keys.tree import OrganizationKeyRow, OrganizationKeys, PersonKeyRow
from matcher.database import KeyRows, Reference
from matcher.galleries import Floats
from matcher.problems import Problem


class KeyMissing(Exception):
    """The organization has no biometric key of this version."""


class Opener:
    """One organization's keys, held for the length of a block. Used by one thread."""

    def __init__(self, keys: OrganizationKeys, rows: KeyRows) -> None:
        self._keys = keys
        self._rows = rows
        self._stack = ExitStack()
        self._lent: dict[int, bytearray] = {}
        self._refused: dict[int, KmsError] = {}
        self._person_key = bytearray(envelope.KEY_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        overwrite(self._person_key)
        self._lent.clear()
        self._stack.close()

    def vector_into(self, vector: Floats, reference: Reference, *, modality: str, model: str) -> None:
        """Open a reference into an array of its dimensions. EnvelopeBroken when it was sealed as anything else."""
        key = reference.person_key
        envelope.open_into(
            self._person_key,
            self._organization_key(reference.organization_key_version),
            key.wrapped,
            key=self._row(reference.organization_key_version).name,
            context=key.context,
        )
        buffer = vector.data.cast("B")
        if len(reference.sealed) != len(buffer) + envelope.OVERHEAD:
            raise EnvelopeBroken("the template has another length than its row says")
        context = contexts.template(
            organization_id=key.organization_id,
            person_id=key.person_id,
            modality=modality,
            model=model,
            version=reference.version,
            key_id=key.id,
        )
        envelope.open_into(buffer, self._person_key, reference.sealed, key=key.name, context=context)

    def seal(
        self, vector: bytes, *, key: PersonKeyRow, key_version: int, modality: str, model: str, version: int
    ) -> bytes:
        """A vector, sealed as one version of a person's template."""
        context = contexts.template(
            organization_id=key.organization_id,
            person_id=key.person_id,
            modality=modality,
            model=model,
            version=version,
            key_id=key.id,
        )
        person_key = tree.open_person_key(self._keys, self._row(key_version), key)
        try:
            with person_key.use() as material:
                return envelope.seal(material, vector, key=key.name, context=context)
        finally:
            person_key.wipe()

    def new_person_key(self, *, key_id: UUID, person_id: UUID, key_version: int) -> PersonKeyRow:
        """A new person key under one version of the organization key."""
        return tree.new_person_key(self._keys, self._row(key_version), key_id=key_id, person_id=person_id)

    def rewrap(self, key: PersonKeyRow, *, from_version: int, to_version: int) -> PersonKeyRow:
        """The same person key under another version."""
        return tree.rewrap_person_key(self._keys, key, old=self._row(from_version), new=self._row(to_version))

    def _organization_key(self, version: int) -> bytearray:
        if version in self._refused:
            raise self._refused[version]
        if version not in self._lent:
            try:
                self._lent[version] = self._stack.enter_context(self._keys.lend(self._row(version)))
            except (KmsRefused, KmsKeyNotFound) as error:
                # A gallery may have thousands of rows under it, and the KMS has answered.
                self._refused[version] = error
                raise
        return self._lent[version]

    def _row(self, version: int) -> OrganizationKeyRow:
        try:
            return self._rows.by_version[version]
        except KeyError:
            raise KeyMissing(f"The organization has no biometric key of version {version}.") from None


@contextmanager
def explained() -> Iterator[None]:
    """Turn what keys and the KMS raise into problems."""
    try:
        yield
    except KeyMissing as error:
        raise Problem(409, "organization_key_missing", str(error)) from None
    except EnvelopeBroken:
        raise Problem(409, "key_mismatch", "A key was not made for this organization and person.") from None
    except KmsError as error:
        raise problem_of(error) from error


def problem_of(error: KmsError) -> Problem:
    """What a caller is told of a KMS that did not open a key."""
    if isinstance(error, KmsKeyUnusable):
        return Problem(503, "kms_key_unusable", f"The KMS key is {error.state.replace('_', ' ')}.")
    if isinstance(error, KmsKeyNotFound):
        return Problem(503, "kms_key_unusable", "The KMS key is not there.")
    if isinstance(error, KmsRefused):
        return Problem(409, "key_mismatch", "The KMS did not wrap this key for this organization.")
    return Problem(503, "kms_unreachable", "The KMS did not answer.")
