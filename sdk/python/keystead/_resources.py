"""The API's nouns, each with its verbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from keystead import types as t
from keystead._pages import Pages
from keystead._transport import Transport
from keystead.types import Resource

R = TypeVar("R", bound=Resource)


class _Noun:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _post(self, kind: type[R], path: str, body: dict[str, Any], key: str | None = None) -> R:
        given = {name: value for name, value in body.items() if value is not None}
        return kind.of(self._transport.request("POST", path, json=given, idempotency_key=key))

    def _get(self, kind: type[R], path: str) -> R:
        return kind.of(self._transport.request("GET", path))

    def _pages(self, kind: type[R], path: str, **query: Any) -> Pages[R]:
        return Pages(self._transport, path, kind, query)


class People(_Noun):
    def create(
        self,
        *,
        display_name: str = "",
        external_reference: str | None = None,
        idempotency_key: str | None = None,
    ) -> t.Person:
        """Add a person."""
        body = {"display_name": display_name, "external_reference": external_reference}
        return self._post(t.Person, "/v1/people", body, idempotency_key)

    def get(self, person: str) -> t.Person:
        """One person."""
        return self._get(t.Person, f"/v1/people/{person}")

    def list(self, *, external_reference: str | None = None) -> Pages[t.Person]:
        """People, newest first."""
        return self._pages(t.Person, "/v1/people", external_reference=external_reference)

    def erase(self, person: str) -> t.Person:
        """Delete the person's key: no template of theirs can ever be opened again."""
        return t.Person.of(self._transport.request("DELETE", f"/v1/people/{person}"))


class Consents(_Noun):
    def grant(self, *, person: str, purpose: str, evidence: str) -> t.Consent:
        """Record an agreement to `identify` or `pay`."""
        return self._post(t.Consent, "/v1/consents", {"person": person, "purpose": purpose, "evidence": evidence})

    def withdraw(self, consent: str) -> t.Consent:
        """End an agreement; matching stops at once."""
        return self._post(t.Consent, f"/v1/consents/{consent}/withdraw", {})

    def list(self, *, person: str | None = None) -> Pages[t.Consent]:
        """Consents, newest first."""
        return self._pages(t.Consent, "/v1/consents", person=person)


class Templates(_Noun):
    def enroll(self, *, person: str, modality: str, model: str, vector: Sequence[float]) -> t.Template:
        """Seal a reference of a person. Needs a current consent to `identify`."""
        body = {"person": person, "modality": modality, "model": model, "vector": list(vector)}
        return self._post(t.Template, "/v1/templates", body)

    def list(self, *, person: str | None = None) -> Pages[t.Template]:
        """Templates without their vectors, newest first."""
        return self._pages(t.Template, "/v1/templates", person=person)


class Verifications(_Noun):
    def create(self, *, person: str, modality: str, model: str, vector: Sequence[float]) -> t.Verification:
        """Compare a probe with one person (1:1)."""
        body = {"person": person, "modality": modality, "model": model, "vector": list(vector)}
        return self._post(t.Verification, "/v1/verifications", body)


class Identifications(_Noun):
    def create(self, *, modality: str, model: str, vector: Sequence[float]) -> t.Identification:
        """Find out whose probe this is (1:N)."""
        body = {"modality": modality, "model": model, "vector": list(vector)}
        return self._post(t.Identification, "/v1/identifications", body)


class Sites(_Noun):
    def create(self, *, name: str, parent_id: str | None = None, time_zone: str | None = None) -> t.Site:
        """Add a place."""
        return self._post(t.Site, "/v1/sites", {"name": name, "parent_id": parent_id, "time_zone": time_zone})

    def list(self) -> Pages[t.Site]:
        """Sites, newest first."""
        return self._pages(t.Site, "/v1/sites")


class EnrolmentCodes(_Noun):
    def create(self, *, site: str, name: str, kind: str = "terminal", role: str = "terminal") -> t.EnrolmentCode:
        """A single-use code for one device; shown once."""
        body = {"site": site, "name": name, "kind": kind, "role": role}
        return self._post(t.EnrolmentCode, "/v1/enrolment-codes", body)


class Devices(_Noun):
    def get(self, device: str) -> t.DeviceInfo:
        """One device."""
        return self._get(t.DeviceInfo, f"/v1/devices/{device}")

    def list(self) -> Pages[t.DeviceInfo]:
        """Devices, newest first."""
        return self._pages(t.DeviceInfo, "/v1/devices")

    def revoke(self, device: str) -> t.DeviceInfo:
        """End a device's access for good; its socket closes within seconds."""
        return self._post(t.DeviceInfo, f"/v1/devices/{device}/revoke", {})

    def factory_reset(self, device: str) -> t.DeviceInfo:
        """End a device's key, so that it can be enrolled again as the same device."""
        return self._post(t.DeviceInfo, f"/v1/devices/{device}/factory-reset", {})

    def create_enrolment_code(self, device: str) -> t.EnrolmentCode:
        """A code that gives a device that was reset another key; shown once."""
        return self._post(t.EnrolmentCode, f"/v1/devices/{device}/enrolment-codes", {})

    def quarantine(self, device: str, *, reason: str = "") -> t.DeviceInfo:
        """Let a device connect and take no checkout, until it is released."""
        return self._post(t.DeviceInfo, f"/v1/devices/{device}/quarantine", {"reason": reason})

    def release(self, device: str) -> t.DeviceInfo:
        """Let a quarantined device work again."""
        return self._post(t.DeviceInfo, f"/v1/devices/{device}/release", {})

    def transfer(self, device: str, *, site: str) -> t.DeviceInfo:
        """Let a device stand at another site, with the roles that it held over the one that it leaves."""
        return self._post(t.DeviceInfo, f"/v1/devices/{device}/transfer", {"site": site})

    def rotate_key(self, device: str) -> t.DeviceInfo:
        """Ask a device to change its key."""
        return self._post(t.DeviceInfo, f"/v1/devices/{device}/rotate-key", {})

    def credentials(self, device: str) -> Pages[t.DeviceCredential]:
        """The keys that a device had, has, and wants to change to."""
        return self._pages(t.DeviceCredential, f"/v1/devices/{device}/credentials")


class Apps(_Noun):
    def create(self, *, name: str, roles: Sequence[str] = ()) -> t.App:
        """Make an app; `client_secret` is shown once."""
        return self._post(t.App, "/v1/apps", {"name": name, "roles": list(roles)})

    def list(self) -> Pages[t.App]:
        """Apps, newest first."""
        return self._pages(t.App, "/v1/apps")


class ProviderAccounts(_Noun):
    def create(
        self,
        *,
        name: str,
        provider: str,
        secret_key: str,
        webhook_secrets: Sequence[str] = (),
        priority: int | None = None,
        base_url: str | None = None,
    ) -> t.ProviderAccount:
        """Add an account at a payment provider. Accounts are asked from the smallest priority upwards."""
        body = {
            "name": name,
            "provider": provider,
            "secret_key": secret_key,
            "webhook_secrets": list(webhook_secrets) or None,
            "priority": priority,
            "base_url": base_url,
        }
        return self._post(t.ProviderAccount, "/v1/provider-accounts", body)

    def list(self) -> Pages[t.ProviderAccount]:
        """Provider accounts, without their credentials."""
        return self._pages(t.ProviderAccount, "/v1/provider-accounts")


class PaymentMethods(_Noun):
    def create(
        self, *, person: str, tokens: dict[str, str], brand: str | None = None, last4: str | None = None
    ) -> t.PaymentMethod:
        """Give a person a payment method: the provider's token at each provider account."""
        body = {
            "person": person,
            "tokens": [{"provider_account": account, "token": token} for account, token in tokens.items()],
            "brand": brand,
            "last4": last4,
        }
        return self._post(t.PaymentMethod, "/v1/payment-methods", body)

    def list(self, *, person: str | None = None) -> Pages[t.PaymentMethod]:
        """Payment methods, newest first."""
        return self._pages(t.PaymentMethod, "/v1/payment-methods", person=person)


class Payments(_Noun):
    def create(
        self,
        *,
        person: str,
        amount_minor: int,
        currency: str,
        payment_method: str | None = None,
        capture_method: str | None = None,
        reference: str | None = None,
        idempotency_key: str | None = None,
    ) -> t.Payment:
        """Charge a person. Repeat with the same `idempotency_key` to charge once."""
        body = {
            "person": person,
            "amount_minor": amount_minor,
            "currency": currency,
            "payment_method": payment_method,
            "capture_method": capture_method,
            "reference": reference,
        }
        return self._post(t.Payment, "/v1/payments", body, idempotency_key)

    def get(self, payment: str) -> t.Payment:
        """One payment with its attempts."""
        return self._get(t.Payment, f"/v1/payments/{payment}")

    def list(self, *, person: str | None = None, status: str | None = None) -> Pages[t.Payment]:
        """Payments, newest first."""
        return self._pages(t.Payment, "/v1/payments", person=person, status=status)

    def capture(
        self, payment: str, *, amount_minor: int | None = None, idempotency_key: str | None = None
    ) -> t.Payment:
        """Take what was reserved."""
        body = {"amount_minor": amount_minor}
        return self._post(t.Payment, f"/v1/payments/{payment}/capture", body, idempotency_key)

    def void(self, payment: str, *, idempotency_key: str | None = None) -> t.Payment:
        """Release what was reserved."""
        return self._post(t.Payment, f"/v1/payments/{payment}/void", {}, idempotency_key)

    def refund(
        self,
        payment: str,
        *,
        amount_minor: int | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> t.Refund:
        """Give money back: all that is left unless told."""
        body = {"amount_minor": amount_minor, "reason": reason}
        return self._post(t.Refund, f"/v1/payments/{payment}/refunds", body, idempotency_key)


class Ledger(_Noun):
    def accounts(self) -> Pages[t.LedgerAccount]:
        """Accounts with their balances."""
        return self._pages(t.LedgerAccount, "/v1/ledger/accounts")

    def entries(self, *, payment: str | None = None) -> Pages[t.LedgerEntry]:
        """Entries, newest first."""
        return self._pages(t.LedgerEntry, "/v1/ledger/entries", payment=payment)


class Checkouts(_Noun):
    def get(self, checkout: str) -> t.Checkout:
        """One checkout."""
        return self._get(t.Checkout, f"/v1/checkouts/{checkout}")

    def list(self) -> Pages[t.Checkout]:
        """Checkouts, newest first."""
        return self._pages(t.Checkout, "/v1/checkouts")


class WebhookEndpoints(_Noun):
    def create(self, *, url: str, event_types: Sequence[str] = ("*",)) -> t.WebhookEndpoint:
        """Have events sent to a URL; `secret` is shown once."""
        body = {"url": url, "event_types": list(event_types)}
        return self._post(t.WebhookEndpoint, "/v1/webhook-endpoints", body)

    def list(self) -> Pages[t.WebhookEndpoint]:
        """Endpoints, newest first."""
        return self._pages(t.WebhookEndpoint, "/v1/webhook-endpoints")

    def deliveries(self, *, webhook_endpoint: str | None = None) -> Pages[t.WebhookDelivery]:
        """What was sent, newest first."""
        return self._pages(t.WebhookDelivery, "/v1/webhook-deliveries", webhook_endpoint=webhook_endpoint)


class Events(_Noun):
    def since(self, sequence: int = 0) -> Pages[t.Event]:
        """Events with a greater number, in order and without gaps."""
        return self._pages(t.Event, "/v1/events", after=sequence)


class Audit(_Noun):
    def list(self, *, resource: str | None = None) -> Pages[t.AuditEntry]:
        """Who did what, newest first."""
        return self._pages(t.AuditEntry, "/v1/audit-entries", resource=resource)


class Usage(_Noun):
    def list(self, *, metric: str | None = None) -> Pages[t.UsageRecord]:
        """What will be billed, newest first."""
        return self._pages(t.UsageRecord, "/v1/usage-records", metric=metric)


class Organizations(_Noun):
    def create(self, *, slug: str, name: str, plan: str, admin_email: str, currency: str = "EUR") -> t.Organization:
        """Make an organization; it answers once its status is `active`."""
        body = {"slug": slug, "name": name, "plan": plan, "admin_email": admin_email, "currency": currency}
        return self._post(t.Organization, "/v1/organizations", body)

    def get(self, organization: str) -> t.Organization:
        """One organization."""
        return self._get(t.Organization, f"/v1/organizations/{organization}")

    def list(self) -> Pages[t.Organization]:
        """Organizations, newest first."""
        return self._pages(t.Organization, "/v1/organizations")
