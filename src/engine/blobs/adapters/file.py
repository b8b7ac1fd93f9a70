"""Blobs in a folder: written beside their place, flushed, then linked, which never overwrites."""

import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import SplitResult, unquote

from engine.blobs.store import (
    BlobExists,
    BlobNotFound,
    BlobStoreFailed,
    BlobUrlInvalid,
    check_name,
    check_prefix,
)


class FileBlobStore:
    """The blobs of one folder. Half-written ones start with a dot and are not listed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, content: bytes) -> None:
        """Durable when it returns: the content, the name and new folders are flushed to disk."""
        self.write_stream(name, [content])

    def write_stream(self, name: str, parts: Iterable[bytes]) -> None:
        """As `write`. What `parts` raises is raised, and nothing is kept."""
        path = self._folder / check_name(name)
        try:
            self._make_folders(path.parent)
            staged = _stage(path.parent, parts)
            try:
                won = _link(staged, path)
            finally:
                staged.unlink()
            # Also when another won: it may have died before its own flush of the folder.
            _sync(path.parent)
        except OSError as error:
            raise BlobStoreFailed(f"{name}: {error.strerror}") from error
        if not won:
            raise BlobExists(name)

    def read(self, name: str) -> bytes:
        """The content of a blob."""
        try:
            return (self._folder / check_name(name)).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise BlobNotFound(name) from None
        except OSError as error:
            raise BlobStoreFailed(f"{name}: {error.strerror}") from error

    def open(self, name: str) -> BinaryIO:
        """The content of a blob, open for reading."""
        try:
            return (self._folder / check_name(name)).open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise BlobNotFound(name) from None
        except OSError as error:
            raise BlobStoreFailed(f"{name}: {error.strerror}") from error

    def names(self, prefix: str) -> Iterator[str]:
        """The names under a prefix, in order of their text."""
        start = self._folder / check_prefix(prefix)
        names = [
            (Path(folder) / file).relative_to(self._folder).as_posix()
            for folder, _, files in os.walk(start)
            for file in files
            if not file.startswith(".")
        ]
        yield from sorted(names)

    def _make_folders(self, folder: Path) -> None:
        if folder == self._folder or folder.is_dir():
            return
        self._make_folders(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(folder.parent)


def from_url(parts: SplitResult) -> FileBlobStore:
    """`file:///folder`, which has to exist."""
    folder = Path(unquote(parts.path))
    if parts.netloc or parts.query or not folder.is_absolute():
        raise BlobUrlInvalid("a file blob URL is file:///absolute/folder")
    if not folder.is_dir():
        raise BlobUrlInvalid(f"there is no folder {folder}")
    return FileBlobStore(folder)


def _stage(folder: Path, parts: Iterable[bytes]) -> Path:
    staged = folder / f".{secrets.token_hex(12)}"
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        staged.unlink()
        raise
    return staged


def _link(staged: Path, path: Path) -> bool:
    """Give the file its name, unless the name is taken: one atomic step."""
    try:
        os.link(staged, path)
    except FileExistsError:
        return False
    return True


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
