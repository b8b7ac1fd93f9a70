"""The file that a backup is: a tar of sealed parts, written and read in one pass.

    keystead-backup.json      in clear: format, whose it is, and its key, wrapped by the KMS
    content/_tables/00000001  which tables and columns follow, in the order in which they can be loaded
    content/<table>/00000002  parts, numbered through the whole file; zlib, then sealed
    manifest                  sealed, last: what a complete file holds

Each part is bound to its backup, its content and its place, so parts cannot be left out, exchanged
or brought in from another backup; without the manifest the file is not complete. Neither side ever
holds more than a part in memory.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, BinaryIO, Self
from uuid import UUID

from engine.errors import DomainError
from engine.keys import contexts, envelope
from engine.keys.envelope import EnvelopeBroken, KeyName
from engine.keys.kms import Kms, KmsError, KmsUnreachable
from engine.keys.material import SecretKey

FORMAT = 1
HEADER = "keystead-backup.json"
MANIFEST = "manifest"
SHAPES = "_tables"
"""The first content: tables, columns and keys, which a restore has to know before the rows come."""
PART_BYTES = 1 << 20

Row = bytes | bytearray | memoryview
"""A row as COPY writes it."""

_HEADER_BYTES_MAX = 64 * 1024
# A part grows by its last row; no row of ours comes near.
_PART_BYTES_MAX = 64 << 20
_KEY_VERSION = 1
_BLOCK = tarfile.BLOCKSIZE


class ArchiveRefusedError(DomainError):
    """The file is no backup that this release can read, or not one that is whole."""

    code = "backup_refused"
    status = 422
    title = "This backup is refused, and nothing was changed"


class ArchiveKeyUnavailableError(DomainError):
    """The KMS did not answer, so nothing is known about the file."""

    code = "backup_key_unavailable"
    status = 503
    title = "The KMS that holds the backup's key does not answer"


@dataclass(frozen=True, slots=True)
class Shape:
    """A table, the columns that hold data, and those of its primary key."""

    name: str
    columns: list[str]
    key: list[str]


@dataclass(frozen=True, slots=True)
class Table(Shape):
    """What one table held: its rows as COPY writes them, in the order of the key."""

    rows: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a complete backup holds, as of one moment."""

    backup: str
    organization: str
    slug: str
    taken_at: str
    fingerprint: str
    migrations: list[list[str]]
    """App and name of each of the organization's migrations, so that an older schema can be made again."""
    organization_row: dict[str, Any]
    plan_row: dict[str, Any]
    public_rows: dict[str, list[dict[str, Any]]]
    keys: list[dict[str, Any]]
    """Ids, purposes, versions and states of the organization's wrapped keys."""
    logs: dict[str, int]
    """The last number of each sealed log."""
    tables: list[Table]
    parts: int

    def encode(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def decode(cls, content: bytes) -> Manifest:
        values = json.loads(content)
        return cls(**{**values, "tables": [Table(**each) for each in values["tables"]]})


@dataclass(frozen=True, slots=True)
class Header:
    """What can be read without a key, and is believed only once the manifest has said the same."""

    backup: UUID
    organization: UUID
    kms_key_id: str
    wrapped: bytes

    def encode(self) -> bytes:
        return json.dumps(
            {
                "format": FORMAT,
                "backup": str(self.backup),
                "organization": str(self.organization),
                "kms_key_id": self.kms_key_id,
                "wrapped": b64encode(self.wrapped).decode(),
            },
            sort_keys=True,
        ).encode()

    @classmethod
    def decode(cls, content: bytes) -> Header:
        try:
            values = json.loads(content)
            found = values["format"]
            if found != FORMAT:
                raise ArchiveRefusedError(f"It is of format {found}; this release reads format {FORMAT}.")
            return cls(
                backup=UUID(values["backup"]),
                organization=UUID(values["organization"]),
                kms_key_id=str(values["kms_key_id"]),
                wrapped=b64decode(values["wrapped"], validate=True),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ArchiveRefusedError("Its header cannot be read.") from None


def encode_shapes(shapes: Iterable[Shape]) -> bytes:
    """The content called SHAPES."""
    return json.dumps([asdict(shape) for shape in shapes]).encode()


def decode_shapes(content: bytes) -> list[Shape]:
    """What `encode_shapes` was given."""
    return [Shape(**each) for each in json.loads(content)]


@dataclass(slots=True)
class Writer:
    """The bytes of an archive, in order: `header()`, `parts(..)` for each content, `manifest(..)`."""

    backup: UUID
    organization: UUID
    kms: Kms
    number: int = 0
    _key: SecretKey | None = field(default=None, repr=False)

    def header(self) -> Iterator[bytes]:
        context = contexts.backup_key(organization_id=self.organization, backup_id=self.backup)
        made = self.kms.generate_data_key(key_id=self.kms.default_key_id, context=context)
        self._key = SecretKey(made.plaintext)
        header = Header(self.backup, self.organization, made.kms_key_id, made.wrapped)
        yield from _member(HEADER, header.encode())

    def parts(self, name: str, rows: Iterable[Row]) -> Iterator[bytes]:
        """One content, cut between rows."""
        held, size = [], 0
        for row in rows:
            held.append(bytes(row))
            size += len(row)
            if size >= PART_BYTES:
                yield from self._part(name, b"".join(held))
                held, size = [], 0
        if held:
            yield from self._part(name, b"".join(held))

    def manifest(self, manifest: Manifest) -> Iterator[bytes]:
        yield from self._part(MANIFEST, manifest.encode())
        yield b"\0" * (2 * _BLOCK)
        if self._key is not None:
            self._key.wipe()

    def _part(self, name: str, content: bytes) -> Iterator[bytes]:
        if self._key is None:
            raise RuntimeError("the header comes first")
        self.number += 1
        with self._key.use() as material:
            sealed = envelope.seal(
                material,
                zlib.compress(content, 6),
                key=KeyName(self.backup, _KEY_VERSION),
                context=self._context(name),
            )
        yield from _member(MANIFEST if name == MANIFEST else f"content/{name}/{self.number:08}", sealed)

    def _context(self, name: str) -> contexts.Context:
        return contexts.backup_part(
            organization_id=self.organization, backup_id=self.backup, name=name, number=self.number
        )


class Reader:
    """An archive, read once from its beginning. `manifest` is there when `parts()` has come to its end."""

    def __init__(self, file: BinaryIO, *, kms: Kms) -> None:
        self._file = file
        self._kms = kms
        self._stack = ExitStack()
        self._number = 0
        self.manifest: Manifest | None = None

    def __enter__(self) -> Self:
        try:
            with _refusing():
                self._tar = self._stack.enter_context(tarfile.open(fileobj=self._file, mode="r|"))
            name, content = self._next(limit=_HEADER_BYTES_MAX)
            if name != HEADER:
                raise ArchiveRefusedError("It does not begin as a backup of Keystead does.")
            self.header = Header.decode(content)
            self._key = SecretKey(self._unwrapped())
            self._stack.callback(self._key.wipe)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def parts(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of each part. Raises ArchiveRefusedError at the first that is not in its place."""
        while self.manifest is None:
            path, sealed = self._next(limit=_PART_BYTES_MAX)
            self._number += 1
            name = MANIFEST if path == MANIFEST else self._name_of(path)
            content = self._opened(name, sealed)
            if name == MANIFEST:
                self.manifest = self._checked(content)
            else:
                yield name, content

    def _checked(self, content: bytes) -> Manifest:
        try:
            manifest = Manifest.decode(content)
        except (ValueError, KeyError, TypeError):
            raise ArchiveRefusedError("Its manifest cannot be read.") from None
        same = (manifest.backup, manifest.organization) == (str(self.header.backup), str(self.header.organization))
        if not same or manifest.parts != self._number - 1:
            raise ArchiveRefusedError("Its manifest speaks of another backup.")
        return manifest

    def _name_of(self, path: str) -> str:
        folder, _, rest = path.partition("/")
        name, _, number = rest.partition("/")
        if folder != "content" or number != f"{self._number:08}":
            raise ArchiveRefusedError(f"A part is missing or out of place: {path[:80]!r}.")
        return name

    def _opened(self, name: str, sealed: bytes) -> bytes:
        context = contexts.backup_part(
            organization_id=self.header.organization, backup_id=self.header.backup, name=name, number=self._number
        )
        try:
            with self._key.use() as material:
                packed = envelope.open_sealed(
                    material, sealed, key=KeyName(self.header.backup, _KEY_VERSION), context=context
                )
            return zlib.decompress(packed)
        except (EnvelopeBroken, zlib.error):
            raise ArchiveRefusedError(f"Part {self._number} was changed, or belongs to another backup.") from None

    def _unwrapped(self) -> bytearray:
        header = self.header
        context = contexts.backup_key(organization_id=header.organization, backup_id=header.backup)
        try:
            return self._kms.unwrap(key_id=header.kms_key_id, wrapped=header.wrapped, context=context)
        except KmsUnreachable as error:
            raise ArchiveKeyUnavailableError(str(error)) from error
        except KmsError as error:
            raise ArchiveRefusedError(
                f"Its key does not open: it was made with another KMS, or its header was changed ({error})."
            ) from error

    def _next(self, *, limit: int) -> tuple[str, bytes]:
        with _refusing():
            member = self._tar.next()
            if member is None:
                raise ArchiveRefusedError("It ends too early: it was cut off.")
            if not member.isreg() or member.size > limit:
                raise ArchiveRefusedError("It holds something that no backup holds.")
            extracted = self._tar.extractfile(member)
            content = extracted.read() if extracted else b""
            if len(content) != member.size:
                raise ArchiveRefusedError("It ends too early: it was cut off.")
            # tarfile remembers every member it has passed.
            self._tar.members = []  # type: ignore[attr-defined]
            return member.name, content


@dataclass(slots=True)
class Tally:
    """Size and hash of what passes through."""

    size: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    def over(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        for part in parts:
            self.size += len(part)
            self._digest.update(part)
            yield part

    @property
    def sha256(self) -> str:
        return str(self._digest.hexdigest())


def verify(file: BinaryIO, *, kms: Kms) -> Manifest:
    """Read an archive to its end and hold it against its manifest. Raises ArchiveRefusedError."""
    found: dict[str, tuple[int, Any]] = {}
    with Reader(file, kms=kms) as reader:
        for name, content in reader.parts():
            if name == SHAPES:
                continue
            rows, digest = found.get(name) or (0, hashlib.sha256())
            digest.update(content)
            found[name] = (rows + content.count(b"\n"), digest)
        manifest = reader.manifest
    if manifest is None:
        raise AssertionError("parts() ends with the manifest or an error")
    for table in manifest.tables:
        rows, digest = found.pop(table.name, (0, hashlib.sha256()))
        if (rows, digest.hexdigest()) != (table.rows, table.sha256):
            raise ArchiveRefusedError(f"What it holds of {table.name} is not what its manifest says.")
    if found:
        raise ArchiveRefusedError("It holds tables that its manifest does not name.")
    return manifest


def _member(name: str, content: bytes) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o600
    yield info.tobuf(tarfile.USTAR_FORMAT)
    yield content
    yield b"\0" * (-len(content) % _BLOCK)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError) as error:
        raise ArchiveRefusedError("It ends too early, or is not a backup of Keystead.") from error
