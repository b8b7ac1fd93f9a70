"""What the API answers, as frozen dataclasses. Fields that this version does not know are in `raw`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar

R = TypeVar("R", bound="Resource")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """An object of the API. `raw` is the answer as it came, `etag` its version where it has one."""

    id: str
    raw: Mapping[str, Any] = field(repr=False, compare=False)
    etag: str | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls: type[R], answer: Mapping[str, Any]) -> R:
        """The object in an answer."""
        values: dict[str, Any] = {}
        for one in fields(cls):
            if one.name in ("raw", "etag"):
                continue
            value = answer.get(one.name)
            values[one.name] = _moment(value) if one.name.endswith("_at") else value
        return cls(**values, raw={k: v for k, v in answer.items() if k != "_etag"}, etag=answer.get("_etag"))


def _moment(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person(Resource):
    status: str
    display_name: str
    external_reference: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent(Resource):
    person: str
    purpose: str
    evidence: str
    granted_at: datetime
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Template(Resource):
    person: str
    modality: str
    model: str
    version: int
    dimensions: int
    state: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(Resource):
    person: str
    outcome: str
    score: float | None
    threshold: float
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification(Resource):
    person: str | None
    outcome: str
    score: float | None
    threshold: float
    gallery_size: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Site(Resource):
    name: str
    parent_id: str | None
    time_zone: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentCode(Resource):
    code: str
    site: str
    name: str
    kind: str
    role: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInfo(Resource):
    name: str
    site: str
    kind: str
    status: str
    is_online: bool | None
    last_seen_at: datetime | None
    quarantine_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCredential(Resource):
    status: str
    thumbprint: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class App(Resource):
    client_id: str
    name: str
    is_active: bool
    client_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAccount(Resource):
    name: str
    provider: str
    priority: int
    status: str
    webhook_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethod(Resource):
    person: str
    kind: str
    brand: str
    last4: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment(Resource):
    status: str
    person: str
    payment_method: str
    amount_minor: int
    currency: str
    captured_minor: int
    refunded_minor: int
    failure_code: str
    attempts: list[dict[str, Any]]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund(Resource):
    payment: str
    status: str
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerAccount(Resource):
    kind: str
    currency: str
    balance: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry(Resource):
    transaction: str
    kind: str
    reason: str
    debit_account: str
    credit_account: str
    amount_minor: int
    currency: str
    payment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout(Resource):
    state: str
    reason: str | None
    device: str
    sequence: int
    amount_minor: int
    currency: str
    person: str | None
    payment: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoint(Resource):
    url: str
    event_types: list[str]
    status: str
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery(Resource):
    webhook_endpoint: str
    event: str
    event_type: str
    sequence: int
    state: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Resource):
    type: str
    sequence: int
    organization: str
    created_at: datetime
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry(Resource):
    action: str
    actor: dict[str, str]
    resource: str
    detail: dict[str, Any]
    sequence: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord(Resource):
    metric: str
    quantity: int
    source_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization(Resource):
    slug: str
    name: str
    status: str
    plan: str
    issuer: str
    environment: str
    currency: str
    created_at: datetime
