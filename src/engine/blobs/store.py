"""The port to an append-only blob store, and the choice of its adapter by URL.

    file:///var/lib/keystead/blobs        a folder (adapters/file.py)

Nothing here changes or deletes: a store whose credentials allow more than this port does should
be given less (object lock, a write-once mount).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final, Protocol
from urllib.parse import SplitResult, urlsplit

_NAME: Final = re.compile(r"[a-z0-9_-][a-z0-9._-]{0,127}(/[a-z0-9_-][a-z0-9._-]{0,127}){0,7}")
_PREFIX: Final = re.compile(r"([a-z0-9_-][a-z0-9._-]{0,127}/){0,7}")


class BlobExists(Exception):
    """There is a blob of this name, and blobs are never overwritten."""


class BlobNotFound(Exception):
    """There is no blob of this name."""


class BlobStoreFailed(Exception):
    """The store did not take or give the blob; when writing, it may or may not have been kept."""


class BlobUrlInvalid(ValueError):
    """The blob URL names no adapter, or lacks what the adapter needs."""


class BlobStore(Protocol):
    """Named byte strings, written once. Names are `a/b/c` of lower-case letters, digits, `._-`."""

    def write(self, name: str, content: bytes) -> None:
        """Keep `content` durably before returning. BlobExists when the name is taken."""

    def write_stream(self, name: str, parts: Iterable[bytes]) -> None:
        """As `write`, of something too large for memory. Nothing is kept unless all parts came."""

    def read(self, name: str) -> bytes:
        """The content; BlobNotFound when there is none."""

    def open(self, name: str) -> BinaryIO:
        """The content, to be read from its beginning and closed; BlobNotFound when there is none."""

    def names(self, prefix: str) -> Iterator[str]:
        """The names under a prefix that ends with `/` (or is empty), in order."""


def check_name(name: str) -> str:
    """The name, when every store can hold it; ValueError otherwise."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a name of a blob: {name!r}")
    return name


def check_prefix(prefix: str) -> str:
    """The prefix, when it is empty or ends a folder; ValueError otherwise."""
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"not a prefix of blobs: {prefix!r}")
    return prefix


def open_store(url: str) -> BlobStore:
    """The store that a URL names. BlobUrlInvalid says what is wrong with the URL."""
    parts = urlsplit(url)
    try:
        connect = _ADAPTERS[parts.scheme]
    except KeyError:
        known = ", ".join(sorted(_ADAPTERS))
        raise BlobUrlInvalid(f"blob URL scheme {parts.scheme!r} is not one of {known}") from None
    return connect(parts)


def _file(parts: SplitResult) -> BlobStore:
    from engine.blobs.adapters import file

    return file.from_url(parts)


_ADAPTERS: Final[dict[str, Callable[[SplitResult], BlobStore]]] = {"file": _file}
