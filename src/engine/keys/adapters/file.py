"""A KMS in a folder of key files, for development and for on-premise machines without another.

Each key is `<name>.json`, mode 0600, in a folder of mode 0700. States are read from the file at
each operation, so disabling a key is felt at once. The folder is the secret: keep it on its own
volume, back it up apart from the database, and give the matcher and the other processes a folder
each.
"""

import base64
import json
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, unquote
from uuid import NAMESPACE_URL, UUID, uuid5

from engine.keys import envelope
from engine.keys.contexts import Context
from engine.keys.kms import (
    DataKey,
    KeyState,
    KmsKeyNotFound,
    KmsKeyUnusable,
    KmsRefused,
    KmsUnreachable,
    KmsUrlInvalid,
    WrappedKey,
)
from engine.keys.material import overwrite

DEFAULT_KEY_ID: Final = "platform"
MINIMUM_DELETION_WAIT: Final = timedelta(days=7)

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_STATES: Final[frozenset[str]] = frozenset({"enabled", "disabled", "pending_deletion"})


class KeyFileUnsafe(KmsUnreachable):
    """The key file can be read by others, or does not hold a key."""


class KeyExists(Exception):
    """A key of this name exists already; keys are never overwritten."""


@dataclass(frozen=True, slots=True)
class _KeyFile:
    state: KeyState
    material: bytearray
    created_at: datetime
    deletion_at: datetime | None


class FileKms:
    """The keys of one folder."""

    def __init__(self, folder: Path, *, default_key_id: str = DEFAULT_KEY_ID) -> None:
        self._folder = folder
        self._default_key_id = default_key_id

    @property
    def default_key_id(self) -> str:
        """The key named by `key_id=` in the URL, else `platform`."""
        return self._default_key_id

    def generate_data_key(self, *, key_id: str, context: Context) -> DataKey:
        """A new key, in clear and wrapped."""
        plaintext = bytearray(secrets.token_bytes(envelope.KEY_BYTES))
        return DataKey(kms_key_id=key_id, plaintext=plaintext, wrapped=self._wrap(key_id, plaintext, context))

    def generate_wrapped_key(self, *, key_id: str, context: Context) -> WrappedKey:
        """A new key, wrapped only."""
        data_key = self.generate_data_key(key_id=key_id, context=context)
        overwrite(data_key.plaintext)
        return WrappedKey(kms_key_id=key_id, wrapped=data_key.wrapped)

    def unwrap(self, *, key_id: str, wrapped: bytes, context: Context) -> bytearray:
        """The key in clear, when `key_id` is enabled and wrapped it in `context`."""
        key = self._usable(key_id)
        try:
            return envelope.open_sealed(key.material, wrapped, key=_name(key_id), context=context)
        except envelope.EnvelopeBroken as broken:
            raise KmsRefused(f"KMS key {key_id}: {broken}") from None
        finally:
            overwrite(key.material)

    def rewrap(self, *, key_id: str, wrapped: bytes, context: Context, new_key_id: str) -> WrappedKey:
        """The same key under `new_key_id`."""
        plaintext = self.unwrap(key_id=key_id, wrapped=wrapped, context=context)
        try:
            return WrappedKey(kms_key_id=new_key_id, wrapped=self._wrap(new_key_id, plaintext, context))
        finally:
            overwrite(plaintext)

    def state(self, *, key_id: str) -> KeyState:
        """The state that the key file says."""
        key = _read(self._path(key_id), key_id)
        overwrite(key.material)
        return key.state

    def _wrap(self, key_id: str, plaintext: bytearray, context: Context) -> bytes:
        key = self._usable(key_id)
        try:
            return envelope.seal(key.material, plaintext, key=_name(key_id), context=context)
        finally:
            overwrite(key.material)

    def _usable(self, key_id: str) -> _KeyFile:
        key = _read(self._path(key_id), key_id)
        if key.state != "enabled":
            overwrite(key.material)
            raise KmsKeyUnusable(key_id, key.state)
        return key

    def _path(self, key_id: str) -> Path:
        if not _NAME.fullmatch(key_id):
            raise KmsKeyNotFound(f"{key_id!r} is not the name of a key file")
        return self._folder / f"{key_id}.json"


def from_url(parts: SplitResult) -> FileKms:
    """`file:///folder?key_id=name`; the folder has to exist and be closed to others."""
    folder = Path(unquote(parts.path))
    if parts.netloc or not folder.is_absolute():
        raise KmsUrlInvalid("a file KMS URL is file:///absolute/folder")
    if not folder.is_dir():
        raise KmsUrlInvalid(f"there is no folder {folder}")
    key_id = parse_qs(parts.query).get("key_id", [DEFAULT_KEY_ID])[0]
    if not _NAME.fullmatch(key_id):
        raise KmsUrlInvalid(f"key_id {key_id!r} is not the name of a key file")
    return FileKms(folder, default_key_id=key_id)


def create_key(
    folder: Path,
    key_id: str = DEFAULT_KEY_ID,
    *,
    random: Callable[[int], bytes] = secrets.token_bytes,
    now: datetime | None = None,
) -> None:
    """Write a new key file, and its folder when there is none; KeyExists rather than overwrite."""
    if not _NAME.fullmatch(key_id):
        raise ValueError("a key's name is lower-case letters, digits and hyphens, at most 63")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    record = {
        "format": 1,
        "id": key_id,
        "state": "enabled",
        "created_at": (now or datetime.now(UTC)).isoformat(),
        "deletion_at": None,
        "material": base64.b64encode(random(envelope.KEY_BYTES)).decode(),
    }
    path = folder / f"{key_id}.json"
    staged = _stage(path, record)
    try:
        os.link(staged, path)
    except FileExistsError:
        raise KeyExists(f"{path} exists") from None
    finally:
        staged.unlink()
    _sync_folder(folder)


def set_state(folder: Path, key_id: str, state: KeyState, *, deletion_at: datetime | None = None) -> None:
    """Change a key's state; `pending_deletion` wants the time from which it may be destroyed."""
    if (state == "pending_deletion") != (deletion_at is not None) or state not in _STATES:
        raise ValueError("pending_deletion, and no other state, comes with deletion_at")
    path = folder / f"{key_id}.json"
    record = _load(path, key_id)
    record["state"] = state
    record["deletion_at"] = deletion_at.isoformat() if deletion_at else None
    staged = _stage(path, record)
    staged.replace(path)
    _sync_folder(folder)


def destroy_key(folder: Path, key_id: str, *, now: datetime | None = None) -> None:
    """Delete a key file whose waiting time has passed. Everything that it wrapped is lost."""
    path = folder / f"{key_id}.json"
    key = _read(path, key_id)
    overwrite(key.material)
    if key.state != "pending_deletion" or key.deletion_at is None:
        raise KmsKeyUnusable(key_id, key.state)
    if key.deletion_at > (now or datetime.now(UTC)):
        raise KmsKeyUnusable(key_id, key.state)
    path.unlink()
    _sync_folder(folder)


def _name(key_id: str) -> envelope.KeyName:
    return envelope.KeyName(id=_key_uuid(key_id), version=1)


def _key_uuid(key_id: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"keystead-file-kms:{key_id}")


def _read(path: Path, key_id: str) -> _KeyFile:
    record = _load(path, key_id)
    try:
        state, material = record["state"], bytearray(base64.b64decode(record["material"]))
        created_at = datetime.fromisoformat(record["created_at"])
        deletion_at = record["deletion_at"] and datetime.fromisoformat(record["deletion_at"])
    except (KeyError, TypeError, ValueError):
        raise KeyFileUnsafe(f"{path} is not a key file of format 1") from None
    if state not in _STATES or len(material) != envelope.KEY_BYTES or record.get("id") != key_id:
        raise KeyFileUnsafe(f"{path} is not the key file of {key_id}")
    return _KeyFile(state=state, material=material, created_at=created_at, deletion_at=deletion_at or None)


def _load(path: Path, key_id: str) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise KeyFileUnsafe(f"{path} can be read by others: chmod 600 it")
            record = json.load(file)
    except FileNotFoundError:
        raise KmsKeyNotFound(f"there is no KMS key {key_id}") from None
    except OSError as error:
        raise KmsUnreachable(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise KeyFileUnsafe(f"{path} is not a key file of format 1") from None
    if not isinstance(record, dict):
        raise KeyFileUnsafe(f"{path} is not a key file of format 1")
    return record


def _stage(path: Path, record: dict[str, Any]) -> Path:
    """Write a record beside its place, flushed to disk, so that linking or renaming is atomic."""
    staged = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(record, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    return staged


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
