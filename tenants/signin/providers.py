"""An organization's identity providers."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from engine import ids
from engine.clock import Clock, utc_now
from engine.errors import InvalidInput, NotFound
from engine.principals import Principal
from shared.accounts import second_factors
from shared.accounts import selectors as accounts_read
from tenants.audit import services as audit
from tenants.keyring import services as keyring
from tenants.signin.adapters.base import Client
from tenants.signin.adapters.oidc import acceptable
from tenants.signin.models import IdentityProvider

_SEALED_AS = "signin.client_secret"


def add(
    *,
    name: str,
    issuer: str,
    client_id: str,
    client_secret: str | None,
    trusts_mfa: bool,
    session: accounts_read.Session,
    by: Principal,
    clock: Clock = utc_now,
) -> IdentityProvider:
    """Let members sign in at a provider. `trusts_mfa` takes its word that a second factor was shown.

    Raises StepUpRequired, InvalidInput (field issuer).
    """
    second_factors.require_fresh(session, clock=clock)
    if not acceptable(issuer) or "?" in issuer:
        raise InvalidInput("This is not the https URL of an issuer.", field="issuer")
    provider_id = ids.uuid7()
    sealed = _seal(provider_id, client_secret) if client_secret else None
    with transaction.atomic():
        row = IdentityProvider.objects.create(
            id=provider_id,
            created_at=clock(),
            name=name,
            issuer=issuer,
            client_id=client_id,
            sealed_client_secret=sealed,
            trusts_mfa=trusts_mfa,
            created_by=by.public_id,
        )
        detail = {"name": name, "issuer": issuer, "client_id": client_id, "trusts_mfa": trusts_mfa}
        audit.write(action="identity_provider.added", actor=by, resource=row.public_id, detail=detail, clock=clock)
    return row


def remove(*, provider_id: UUID, session: accounts_read.Session, by: Principal, clock: Clock = utc_now) -> None:
    """Nobody signs in there any more; sessions go on. Raises NotFound, StepUpRequired."""
    row = found(provider_id)
    second_factors.require_fresh(session, clock=clock)
    with transaction.atomic():
        if IdentityProvider.objects.filter(id=row.id, is_active=True).update(is_active=False):
            audit.write(action="identity_provider.removed", actor=by, resource=row.public_id, clock=clock)


def found(provider_id: UUID) -> IdentityProvider:
    """One that members can sign in at. Raises NotFound."""
    row = IdentityProvider.objects.filter(id=provider_id, is_active=True).first()
    if row is None:
        raise NotFound
    return row


def client_of(row: IdentityProvider) -> Client:
    """Us, as that provider knows us. Opens the secret, so in no transaction."""
    return Client(
        provider_id=row.public_id,
        issuer=row.issuer,
        client_id=row.client_id,
        client_secret=_open(row) if row.sealed_client_secret else None,
    )


def _seal(provider_id: UUID, secret: str) -> bytes:
    return keyring.seal_secret(purpose_name=_SEALED_AS, record_id=str(provider_id), plaintext=secret.encode())


def _open(row: IdentityProvider) -> str:
    sealed = bytes(row.sealed_client_secret or b"")
    return keyring.open_secret(purpose_name=_SEALED_AS, record_id=str(row.id), sealed=sealed).decode()
