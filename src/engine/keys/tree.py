"""The keys between the KMS and a record: organization keys, cached in clear, and person keys."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from engine.keys import contexts, envelope
from engine.keys.contexts import Purpose
from engine.keys.kms import Kms, WrappedKey
from engine.keys.material import KeyWiped, SecretKey, overwrite

MAX_CACHE_SECONDS: Final = 300.0
_ATTEMPTS: Final = 3
_SWEEP_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class OrganizationKeyRow:
    """An organization key as it is stored: wrapped by a KMS key."""

    id: UUID
    organization_id: UUID
    purpose: Purpose
    version: int
    wrapped: bytes
    kms_key_id: str

    @property
    def name(self) -> envelope.KeyName:
        """What envelopes sealed under this key carry."""
        return envelope.KeyName(id=self.id, version=self.version)

    @property
    def context(self) -> contexts.Context:
        """The context in which the KMS wrapped it."""
        return contexts.organization_key(
            organization_id=self.organization_id,
            purpose=self.purpose,
            key_id=self.id,
            version=self.version,
        )


@dataclass(frozen=True, slots=True)
class PersonKeyRow:
    """A person key as it is stored: wrapped by an organization key of the same purpose."""

    id: UUID
    organization_id: UUID
    person_id: UUID
    purpose: Purpose
    wrapped: bytes

    @property
    def name(self) -> envelope.KeyName:
        """What its envelopes carry. A person key never changes, only its wrapping."""
        return envelope.KeyName(id=self.id, version=1)

    @property
    def context(self) -> contexts.Context:
        """The context in which the organization key wrapped it."""
        return contexts.person_key(
            organization_id=self.organization_id,
            purpose=self.purpose,
            person_id=self.person_id,
            key_id=self.id,
        )


def new_organization_key(
    kms: Kms,
    *,
    key_id: UUID,
    organization_id: UUID,
    purpose: Purpose,
    version: int,
    kms_key_id: str | None = None,
) -> OrganizationKeyRow:
    """A new organization key that has never been in clear outside the KMS.

    `kms_key_id` is the organization's own KMS key, else the platform's default.
    """
    context = contexts.organization_key(
        organization_id=organization_id, purpose=purpose, key_id=key_id, version=version
    )
    wrapped: WrappedKey = kms.generate_wrapped_key(key_id=kms_key_id or kms.default_key_id, context=context)
    return OrganizationKeyRow(
        id=key_id,
        organization_id=organization_id,
        purpose=purpose,
        version=version,
        wrapped=wrapped.wrapped,
        kms_key_id=wrapped.kms_key_id,
    )


class OrganizationKeys:
    """Organization keys in clear, each for at most five minutes.

    After that the KMS is asked again, so that a key which it refuses stops working within that
    time, and keys that nobody asks for are overwritten. Safe for use from several threads.
    """

    def __init__(
        self,
        kms: Kms,
        *,
        max_seconds: float = MAX_CACHE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 <= max_seconds <= MAX_CACHE_SECONDS:
            raise ValueError(f"keys are cached for at most {MAX_CACHE_SECONDS:.0f} seconds")
        self._kms = kms
        self._max_seconds = max_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._keys: dict[tuple[UUID, UUID], tuple[float, OrganizationKeyRow, SecretKey]] = {}

    def get(self, row: OrganizationKeyRow) -> SecretKey:
        """The key in clear, from the cache while it is fresh. KmsError when the KMS refuses it."""
        slot = (row.organization_id, row.id)
        with self._lock:
            held = self._keys.get(slot)
            # The row is compared too: a row that was tampered with must not ride on an honest one.
            if held and held[1] == row and self._clock() - held[0] < self._max_seconds:
                return held[2]
        asked_at = self._clock()
        try:
            material = self._kms.unwrap(key_id=row.kms_key_id, wrapped=row.wrapped, context=row.context)
        except BaseException:
            self._drop(slot)
            raise
        key = SecretKey(material)
        self._drop(slot, replacement=(asked_at, row, key))
        self._sweep_later()
        return key

    def known(self, organization_id: UUID, key_id: UUID) -> OrganizationKeyRow | None:
        """The row of a key that is in the cache and fresh, so that it need not be read again."""
        with self._lock:
            held = self._keys.get((organization_id, key_id))
        if held and self._clock() - held[0] < self._max_seconds:
            return held[1]
        return None

    @contextmanager
    def lend(self, row: OrganizationKeyRow) -> Iterator[bytearray]:
        """The key's bytes for the length of a block; see `SecretKey.use`."""
        with ExitStack() as stack:
            for attempt in range(_ATTEMPTS):
                try:
                    material = stack.enter_context(self.get(row).use())
                    break
                except KeyWiped:
                    # Another thread renewed the key between our get and our use.
                    if attempt == _ATTEMPTS - 1:
                        raise
            yield material

    def forget(self, organization_id: UUID | None = None) -> None:
        """Overwrite one organization's keys, or all."""
        with self._lock:
            slots = [s for s in self._keys if organization_id in (None, s[0])]
            dropped = [self._keys.pop(slot) for slot in slots]
        for _, _, key in dropped:
            key.wipe()

    def forget_expired(self) -> None:
        """Overwrite what `get` would not return any more. Happens by itself within about a second."""
        with self._lock:
            oldest = self._clock() - self._max_seconds
            slots = [slot for slot, held in self._keys.items() if held[0] <= oldest]
            dropped = [self._keys.pop(slot) for slot in slots]
        for _, _, key in dropped:
            key.wipe()

    def _sweep_later(self) -> None:
        """One timer at a time, for the key whose time is over first."""
        with self._lock:
            if self._timer is not None or not self._keys:
                return
            oldest = min(held[0] for held in self._keys.values())
            wait = max(_SWEEP_SECONDS, oldest + self._max_seconds - self._clock())
            self._timer = threading.Timer(wait, self._sweep)
            self._timer.daemon = True
            self._timer.start()

    def _sweep(self) -> None:
        with self._lock:
            self._timer = None
        self.forget_expired()
        self._sweep_later()

    def _drop(
        self,
        slot: tuple[UUID, UUID],
        *,
        replacement: tuple[float, OrganizationKeyRow, SecretKey] | None = None,
    ) -> None:
        with self._lock:
            held = self._keys.pop(slot, None)
            if replacement:
                self._keys[slot] = replacement
        if held:
            held[2].wipe()


def new_person_key(
    keys: OrganizationKeys,
    organization_key: OrganizationKeyRow,
    *,
    key_id: UUID,
    person_id: UUID,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> PersonKeyRow:
    """A new person key, wrapped by the organization key of its purpose."""
    material = bytearray(random(envelope.KEY_BYTES))
    bare = PersonKeyRow(
        id=key_id,
        organization_id=organization_key.organization_id,
        person_id=person_id,
        purpose=organization_key.purpose,
        wrapped=b"",
    )
    try:
        return _wrapped(keys, organization_key, bare, material)
    finally:
        overwrite(material)


def open_person_key(keys: OrganizationKeys, organization_key: OrganizationKeyRow, row: PersonKeyRow) -> SecretKey:
    """The person key in clear; EnvelopeBroken when it is not this organization's and person's."""
    with keys.lend(organization_key) as material:
        return SecretKey(envelope.open_sealed(material, row.wrapped, key=organization_key.name, context=row.context))


def rewrap_person_key(
    keys: OrganizationKeys, row: PersonKeyRow, *, old: OrganizationKeyRow, new: OrganizationKeyRow
) -> PersonKeyRow:
    """The same person key under another version of the organization key."""
    person_key = open_person_key(keys, old, row)
    try:
        with person_key.use() as material:
            return _wrapped(keys, new, row, material)
    finally:
        person_key.wipe()


def _wrapped(
    keys: OrganizationKeys, organization_key: OrganizationKeyRow, row: PersonKeyRow, material: bytearray
) -> PersonKeyRow:
    with keys.lend(organization_key) as wrapping:
        wrapped = envelope.seal(wrapping, material, key=organization_key.name, context=row.context)
    return replace(row, wrapped=wrapped)
