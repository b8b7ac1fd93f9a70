"""Which adapter speaks to a provider account."""

from __future__ import annotations

from tenants.payments.adapters.base import Credentials, PaymentProvider
from tenants.payments.adapters.stripe import StripeProvider

ADAPTERS: dict[str, type[PaymentProvider]] = {"stripe": StripeProvider}
"""The providers that an organization may have accounts at, by the name in API and database."""


def provider_of(*, provider: str, account: str, base_url: str, credentials: Credentials) -> PaymentProvider:
    """The adapter of one account; ``account`` names it in logs, metrics and breakers."""
    return ADAPTERS[provider](account=account, base_url=base_url, credentials=credentials)
