"""Sealing what a provider must know and nobody else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from uuid import UUID

from tenants.keyring import services as keyring
from tenants.payments.adapters.base import Credentials

_CREDENTIALS = "payments.credentials"
_TOKEN = "payments.token"  # noqa: S105 - the name of a purpose


@dataclass(frozen=True, slots=True)
class Token:
    """What a provider account knows a payment method by, and the customer that it belongs to there."""

    token: str = field(repr=False)
    customer: str | None = None


def seal_credentials(*, account_id: UUID, credentials: Credentials) -> bytes:
    """The credentials of a provider account, sealed for this account alone."""
    plain = {"secret_key": credentials.secret_key, "webhook_secrets": list(credentials.webhook_secrets)}
    return keyring.seal_secret(
        purpose_name=_CREDENTIALS, record_id=str(account_id), plaintext=json.dumps(plain).encode()
    )


def open_credentials(*, account_id: UUID, sealed: bytes | memoryview) -> Credentials:
    """The credentials of a provider account."""
    plain = json.loads(keyring.open_secret(purpose_name=_CREDENTIALS, record_id=str(account_id), sealed=bytes(sealed)))
    return Credentials(secret_key=plain["secret_key"], webhook_secrets=tuple(plain["webhook_secrets"]))


def seal_token(*, token_id: UUID, token: Token) -> bytes:
    """A payment method's token, sealed for its row alone."""
    plain = json.dumps({"token": token.token, "customer": token.customer}).encode()
    return keyring.seal_secret(purpose_name=_TOKEN, record_id=str(token_id), plaintext=plain)


def open_token(*, token_id: UUID, sealed: bytes | memoryview) -> Token:
    """A payment method's token."""
    plain = json.loads(keyring.open_secret(purpose_name=_TOKEN, record_id=str(token_id), sealed=bytes(sealed)))
    return Token(token=plain["token"], customer=plain["customer"])
