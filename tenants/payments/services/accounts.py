"""Provider accounts: credentials come in, are sealed, and never go out again."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from engine import ids
from engine.errors import Conflict, InvalidInput
from engine.principals import Principal
from tenants.audit import services as audit
from tenants.payments.adapters import ADAPTERS, provider_of
from tenants.payments.adapters.base import Credentials, PaymentProvider
from tenants.payments.models import AccountStatus, ProviderAccount
from tenants.payments.services import secrets


class AccountNameTaken(Conflict):
    """Another provider account has this name."""

    code = "provider_account_name_taken"
    title = "There is a provider account of this name"


@transaction.atomic
def create_account(
    *,
    name: str,
    provider: str,
    secret_key: str,
    webhook_secrets: Sequence[str] = (),
    base_url: str = "",
    priority: int = 100,
    by: Principal,
) -> ProviderAccount:
    """Add an account at ``provider``; accounts are tried by ascending ``priority``.

    ``base_url`` is the provider's own unless told otherwise, which only a development platform may.
    Raises InvalidInput and AccountNameTaken.
    """
    if provider not in ADAPTERS:
        raise InvalidInput(f"Known providers: {', '.join(ADAPTERS)}.", field="provider")
    if ProviderAccount.objects.filter(name=name).exists():
        raise AccountNameTaken(field="name")
    account_id = ids.uuid7()
    credentials = Credentials(secret_key=secret_key, webhook_secrets=tuple(webhook_secrets))
    account = ProviderAccount.objects.create(
        id=account_id,
        name=name,
        provider=provider,
        base_url=_checked_url(base_url, official=ADAPTERS[provider].default_base_url),
        sealed_credentials=secrets.seal_credentials(account_id=account_id, credentials=credentials),
        priority=priority,
    )
    detail = {"name": name, "provider": provider, "priority": priority}
    audit.write(action="provider_account.create", actor=by, resource=account.public_id, detail=detail)
    return account


@transaction.atomic
def update_account(
    *,
    account: ProviderAccount,
    status: str | None = None,
    priority: int | None = None,
    secret_key: str | None = None,
    webhook_secrets: Sequence[str] | None = None,
    by: Principal,
) -> ProviderAccount:
    """Change what is given. A disabled account gets no new charges; open ones are still settled with it."""
    account = ProviderAccount.objects.select_for_update(no_key=True).get(id=account.id)
    changed = []
    if status is not None:
        account.status = AccountStatus(status)
        changed.append("status")
    if priority is not None:
        account.priority = priority
        changed.append("priority")
    if secret_key is not None or webhook_secrets is not None:
        known = secrets.open_credentials(account_id=account.id, sealed=account.sealed_credentials)
        fresh = Credentials(
            secret_key=known.secret_key if secret_key is None else secret_key,
            webhook_secrets=known.webhook_secrets if webhook_secrets is None else tuple(webhook_secrets),
        )
        account.sealed_credentials = secrets.seal_credentials(account_id=account.id, credentials=fresh)
        changed.append("credentials")
    account.save()
    audit.write(action="provider_account.update", actor=by, resource=account.public_id, detail={"changed": changed})
    return account


def open_account(account: ProviderAccount) -> PaymentProvider:
    """The adapter that speaks to this account."""
    return provider_of(
        provider=account.provider,
        account=account.public_id,
        base_url=account.base_url,
        credentials=secrets.open_credentials(account_id=account.id, sealed=account.sealed_credentials),
    )


def _checked_url(base_url: str, *, official: str) -> str:
    """An organization must not make the platform send requests to an address of its choice."""
    if base_url.rstrip("/") in ("", official):
        return official
    if not settings.IS_DEVELOPMENT:
        raise InvalidInput(f"Only {official} is allowed here.", field="base_url")
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidInput("This is not a URL.", field="base_url") from error
    if parts.scheme != "http" or not _is_loopback(host) or parts.query or parts.path not in ("", "/"):
        raise InvalidInput("Only an http URL on loopback is allowed beside the provider's own.", field="base_url")
    return base_url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
