"""The port to a key management service, and the choice of its adapter by URL.

file:///etc/keystead/kms?key_id=platform      a folder of key files (adapters/file.py)
aws://eu-central-1?key_id=alias/keystead      AWS KMS (adapters/aws.py); `endpoint=` overrides
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol
from urllib.parse import SplitResult, urlsplit

from engine.keys.contexts import Context

KeyState = Literal["enabled", "disabled", "pending_deletion", "unavailable"]


class KmsError(Exception):
    """The KMS did not do what was asked."""


class KmsKeyNotFound(KmsError):
    """No key of this id."""


class KmsKeyUnusable(KmsError):
    """The key exists but its state forbids use; `state` says which it is."""

    def __init__(self, key_id: str, state: KeyState) -> None:
        super().__init__(f"KMS key {key_id} is {state}")
        self.key_id = key_id
        self.state = state


class KmsRefused(KmsError):
    """Not wrapped by this key in this context, or the caller may not use the key."""


class KmsUnreachable(KmsError):
    """No answer, or one that says to come back later. Nothing is known about the key."""


class KmsUrlInvalid(ValueError):
    """The KMS URL names no adapter, or lacks what the adapter needs."""


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A key that only the KMS can unwrap. `kms_key_id` is the canonical id of the wrapping key."""

    kms_key_id: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class DataKey:
    """A new 32-byte key, in clear and wrapped. Whoever holds it wipes `plaintext`."""

    kms_key_id: str
    plaintext: bytearray
    wrapped: bytes

    def __repr__(self) -> str:
        return f"DataKey(kms_key_id={self.kms_key_id!r})"


class Kms(Protocol):
    """A key management service. `context` is bound as additional authenticated data."""

    @property
    def default_key_id(self) -> str:
        """The key that wraps new organization keys unless the organization brings its own."""

    def generate_data_key(self, *, key_id: str, context: Context) -> DataKey:
        """A new key, in clear and wrapped by `key_id`."""

    def generate_wrapped_key(self, *, key_id: str, context: Context) -> WrappedKey:
        """A new key that the caller never sees in clear."""

    def unwrap(self, *, key_id: str, wrapped: bytes, context: Context) -> bytearray:
        """The key in clear. Otherwise one of the KmsErrors above."""

    def rewrap(self, *, key_id: str, wrapped: bytes, context: Context, new_key_id: str) -> WrappedKey:
        """The same key and context under another KMS key, never in clear outside the KMS."""

    def state(self, *, key_id: str) -> KeyState:
        """Whether the key can be used now."""


def open_kms(url: str) -> Kms:
    """The KMS that a URL names. KmsUrlInvalid says what is wrong with the URL."""
    parts = urlsplit(url)
    try:
        connect = _ADAPTERS[parts.scheme]
    except KeyError:
        known = ", ".join(sorted(_ADAPTERS))
        raise KmsUrlInvalid(f"KMS URL scheme {parts.scheme!r} is not one of {known}") from None
    return connect(parts)


def _file(parts: SplitResult) -> Kms:
    from engine.keys.adapters import file

    return file.from_url(parts)


def _aws(parts: SplitResult) -> Kms:
    # Imported here so that only processes that use AWS load boto3 (40 MB).
    from engine.keys.adapters import aws

    return aws.from_url(parts)


_ADAPTERS: Final[dict[str, Callable[[SplitResult], Kms]]] = {"file": _file, "aws": _aws}
