"""What a payment needs, made by the services that everybody uses. Inside the organization's context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from engine.ids import uuid7
from engine.principals import Principal
from tenants.identity import services as identity
from tenants.payments import services as payments
from tenants.payments.models import Payment, PaymentMethod, ProviderAccount
from tests.devkit.sandbox.server import SandboxProcess

STAFF = Principal(kind="member", id=UUID(int=7), display="tests")
WEBHOOK_SECRET = "whsec_tests_" + "0" * 24


def person_id() -> UUID:
    """A person of the organization."""
    return identity.create_person(display_name="Ada", by=STAFF).id


def provider_account(sandbox: SandboxProcess, key: str | None = None, **fields: Any) -> ProviderAccount:
    """A provider account of the sandbox; its secret key stands in ``key_of``."""
    values: dict[str, Any] = {
        "name": f"account {uuid7()}",
        "provider": "stripe",
        "secret_key": key or sandbox.new_key(),
        "webhook_secrets": [WEBHOOK_SECRET],
        "base_url": sandbox.url,
        "by": STAFF,
    }
    return payments.create_account(**values | fields)


def payment_method(
    accounts: Sequence[ProviderAccount], token: str = "pm_card_visa", *, person: UUID | None = None
) -> PaymentMethod:
    """A card that each of the accounts knows by ``token``."""
    tokens = [payments.NewToken(account.id, token) for account in accounts]
    return payments.create_method(person_id=person or person_id(), tokens=tokens, brand="visa", last4="4242", by=STAFF)


def payment(method: PaymentMethod, **fields: Any) -> Payment:
    """An intent to charge 12.50; no provider was asked yet."""
    values: dict[str, Any] = {"amount_minor": 1250, "currency": "CHF", "by": STAFF}
    return payments.create(person_id=method.person_id, payment_method_id=method.id, **values | fields)
