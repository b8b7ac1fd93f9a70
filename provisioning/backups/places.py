"""Where archives stand: a file on this machine, or a blob of the platform's store (`blob:<name>`)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from django.conf import settings

from engine import ids
from engine.blobs.store import BlobNotFound, open_store
from engine.errors import DomainError

BLOB = "blob:"


class PlaceUnusableError(DomainError):
    """Nothing can be written to, or read from, where the operator said."""

    code = "backup_place_unusable"
    status = 422
    title = "The backup cannot be written or read there"


def blob_location(*, organization_id: UUID, backup_id: UUID) -> str:
    """Where a backup stands in the platform's blob store."""
    return f"{BLOB}backups/{organization_id}/{ids.encode('bkp', backup_id)}"


def file_location(path: Path) -> str:
    """A file that is not there yet, in a folder that is. Raises PlaceUnusableError."""
    whole = path.absolute()
    if not whole.parent.is_dir():
        raise PlaceUnusableError(f"There is no folder {whole.parent}.")
    if whole.exists():
        raise PlaceUnusableError(f"{whole} exists, and backups are never overwritten.")
    return str(whole)


def exists(location: str) -> bool:
    """Whether an archive was written there."""
    try:
        read(location).close()
    except PlaceUnusableError:
        return False
    return True


def read(location: str) -> BinaryIO:
    """The archive, open at its beginning. Raises PlaceUnusableError."""
    try:
        if location.startswith(BLOB):
            return open_store(settings.BLOB_URL).open(location.removeprefix(BLOB))
        return Path(location).open("rb")
    except (BlobNotFound, OSError, ValueError) as error:
        raise PlaceUnusableError(f"{location} cannot be read: {_why(error)}.") from error


def write(location: str, parts: Iterable[bytes]) -> None:
    """Write an archive whole or not at all, durably. Raises PlaceUnusableError when the place fails."""
    if location.startswith(BLOB):
        open_store(settings.BLOB_URL).write_stream(location.removeprefix(BLOB), parts)
        return
    path = Path(location)
    staged = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            os.link(staged, path)
        finally:
            staged.unlink()
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise PlaceUnusableError(f"{location} cannot be written: {_why(error)}.") from error


def _why(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "there is no such blob"
