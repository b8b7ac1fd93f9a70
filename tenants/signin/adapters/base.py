"""The port to an identity provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class ProviderUnavailable(Exception):
    """The provider did not answer, or not as the specification says. `why` is for the log."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class CodeRefused(Exception):
    """The provider did not take the code: it is used, expired, forged, or the client's secret is wrong."""


class SignatureInvalid(Exception):
    """The ID token is not signed by one of the provider's keys."""


@dataclass(frozen=True, slots=True)
class Client:
    """Us, as the provider knows us."""

    provider_id: str
    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the provider's discovery document says (OpenID Connect Discovery 1.0)."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    sends_issuer: bool
    """RFC 9207: then an answer without `iss` is somebody else's."""
    token_auth_methods: tuple[str, ...]


class IdentityProviders(Protocol):
    """Speaks with providers. Every verb calls out, so none may be used inside a transaction."""

    def metadata(self, client: Client) -> Metadata:
        """What discovery says. Raises ProviderUnavailable."""

    def redeem(self, client: Client, *, code: str, verifier: str, redirect_uri: str) -> str:
        """The ID token for a code. Raises ProviderUnavailable, CodeRefused."""

    def claims(self, client: Client, id_token: str) -> Mapping[str, Any]:
        """The claims of a token that the provider has signed. Raises ProviderUnavailable, SignatureInvalid."""
