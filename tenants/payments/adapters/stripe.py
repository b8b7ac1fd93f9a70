"""Stripe over HTTP, in its own wire format (https://docs.stripe.com/api, version below).

A charge is a payment intent that is created without confirmation, which moves nothing, and then confirmed.
Docs that this module relies on: a key is remembered for at least 24 hours together with the answer, also a 500;
401, 409, 429 and failed validation are not remembered; retrieving by id never lags, searching does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from engine.calls import (
    NotSent,
    Outcome,
    ProviderRequest,
    Refused,
    Reply,
    Succeeded,
    Throttled,
    Unknown,
    shared_client,
)
from tenants.payments import rules
from tenants.payments.adapters import stripe_signature
from tenants.payments.adapters.base import (
    BadSignature,
    Credentials,
    Finding,
    Notice,
    OperationFinding,
    Order,
    Subject,
)
from tenants.payments.rules import Fact, OperationState

API_VERSION = "2025-08-27.basil"
UNAVAILABLE = "provider_unavailable"
_REFUND_STATES = {
    "succeeded": OperationState.SUCCEEDED,
    "pending": OperationState.PENDING,
    "requires_action": OperationState.PENDING,
    "failed": OperationState.FAILED,
    "canceled": OperationState.FAILED,
}


class StripeProvider:
    """One Stripe account."""

    name: ClassVar[str] = "stripe"
    default_base_url: ClassVar[str] = "https://api.stripe.com"

    def __init__(self, *, account: str, base_url: str, credentials: Credentials) -> None:
        self._account = account
        self._base_url = base_url.rstrip("/")
        self._credentials = credentials

    def place(self, order: Order, *, key: str) -> Finding:
        """Create the intent, unconfirmed."""
        fields = {
            "amount": str(order.amount_minor),
            "currency": order.currency.lower(),
            "payment_method": order.token,
            "payment_method_types[0]": "card",
            "capture_method": "manual" if order.manual_capture else "automatic",
            "metadata[organization]": order.organization,
            "metadata[payment]": order.payment,
            "metadata[attempt]": order.attempt,
        }
        if order.customer:
            fields["customer"] = order.customer
        outcome = self._post("payment_intents.create", "payment_intents", fields, key=key)
        return _charge_finding(outcome, repeat=False)

    def charge(self, order: Order, *, reference: str, key: str, repeat: bool) -> Finding:
        """Confirm the intent. A card that wants its holder to act is refused: nobody is there to do it."""
        fields = {"error_on_requires_action": "true"}
        if order.customer:
            fields["off_session"] = "true"
        path = f"payment_intents/{quote(reference, safe='')}/confirm"
        return _charge_finding(self._post("payment_intents.confirm", path, fields, key=key), repeat=repeat)

    def look_up(self, *, reference: str) -> Finding:
        """Retrieve the intent by its id."""
        path = f"payment_intents/{quote(reference, safe='')}"
        outcome = self._get("payment_intents.retrieve", path)
        return _intent_finding(outcome.reply) if isinstance(outcome, Succeeded) else Finding(Fact.UNDECIDED)

    def capture(self, *, reference: str, amount_minor: int, key: str, repeat: bool) -> OperationFinding:
        """Capture the intent."""
        path = f"payment_intents/{quote(reference, safe='')}/capture"
        fields = {"amount_to_capture": str(amount_minor)}
        outcome = self._post("payment_intents.capture", path, fields, key=key)
        return _intent_operation(outcome, wanted=Fact.CAPTURED, repeat=repeat)

    def cancel(self, *, reference: str, key: str, repeat: bool) -> OperationFinding:
        """Cancel the intent."""
        path = f"payment_intents/{quote(reference, safe='')}/cancel"
        outcome = self._post("payment_intents.cancel", path, {}, key=key)
        return _intent_operation(outcome, wanted=Fact.CANCELED, repeat=repeat)

    def refund(self, *, reference: str, amount_minor: int, refund: str, key: str, repeat: bool) -> OperationFinding:
        """Refund the intent's charge."""
        fields = {
            "payment_intent": reference,
            "amount": str(amount_minor),
            "metadata[refund]": refund,
        }
        outcome = self._post("refunds.create", "refunds", fields, key=key)
        if isinstance(outcome, Succeeded):
            return _refund_finding(_body(outcome.reply), source_id=_request_id(outcome.reply))
        return _operation_failure(outcome, repeat=repeat)

    def look_up_refund(self, *, reference: str, refund: str, provider_reference: str) -> OperationFinding:
        """Retrieve the refund, or look for ours among those of the intent."""
        if provider_reference:
            outcome = self._get("refunds.retrieve", f"refunds/{quote(provider_reference, safe='')}")
            found = [_body(outcome.reply)] if isinstance(outcome, Succeeded) else []
        else:
            query = urlencode({"payment_intent": reference, "limit": "100"})
            outcome = self._get("refunds.list", f"refunds?{query}")
            rows = _body(outcome.reply).get("data", []) if isinstance(outcome, Succeeded) else []
            found = [row for row in rows if (row.get("metadata") or {}).get("refund") == refund]
        if not found or not isinstance(outcome, Succeeded):
            return OperationFinding(OperationState.UNKNOWN)
        return _refund_finding(found[0], source_id=_request_id(outcome.reply))

    def read_notice(self, *, body: bytes, headers: Mapping[str, str], now: datetime) -> Notice:
        """Verify and read an event."""
        header = headers.get("stripe-signature", "")
        stripe_signature.verify(body=body, header=header, secrets=self._credentials.webhook_secrets, now=now)
        return _notice(body)

    def _post(self, operation: str, path: str, fields: Mapping[str, str], *, key: str) -> Outcome:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": key}
        return self._send("POST", operation, path, headers, urlencode(fields).encode())

    def _get(self, operation: str, path: str) -> Outcome:
        return self._send("GET", operation, path, {}, b"")

    def _send(self, method: str, operation: str, path: str, headers: Mapping[str, str], content: bytes) -> Outcome:
        common = {"Authorization": f"Bearer {self._credentials.secret_key}", "Stripe-Version": API_VERSION}
        return shared_client().send(
            ProviderRequest(
                provider=self.name,
                account=self._account,
                operation=operation,
                method=method,
                url=f"{self._base_url}/v1/{path}",
                headers=common | dict(headers),
                content=content,
                repeatable=True,
            )
        )


def _body(reply: Reply) -> dict[str, Any]:
    """The JSON object of an answer, empty when it is none: an answer that we cannot read proves nothing."""
    try:
        found = json.loads(reply.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _request_id(reply: Reply) -> str:
    # A replayed answer carries the id of the request that it was first given to: one answer, one source.
    return reply.headers.get("original-request") or reply.headers.get("request-id", "")


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62 else None


def read_intent(intent: Mapping[str, Any], *, source_id: str) -> Finding:
    """What a payment intent proves."""
    reference = str(intent.get("id", ""))
    common: dict[str, Any] = {
        "reference": reference,
        "currency": str(intent.get("currency", "")).upper(),
        "source_id": source_id,
    }
    match intent.get("status"):
        case "succeeded":
            return Finding(Fact.CAPTURED, amount_minor=_integer(intent.get("amount_received")), **common)
        case "requires_capture":
            return Finding(Fact.AUTHORIZED, amount_minor=_integer(intent.get("amount_capturable")), **common)
        case "canceled":
            return Finding(Fact.CANCELED, **common)
        case "requires_payment_method" if isinstance(intent.get("last_payment_error"), Mapping):
            return _declined(intent["last_payment_error"], **common)
        case "requires_confirmation" | "requires_payment_method":
            return Finding(Fact.PLACED, **common)
    return Finding(Fact.UNDECIDED, **common)


def _intent_finding(reply: Reply) -> Finding:
    return read_intent(_body(reply), source_id=_request_id(reply))


def _declined(error: Mapping[str, Any], **common: Any) -> Finding:
    code = str(error.get("decline_code") or error.get("code") or "declined")[:64]
    return Finding(Fact.REFUSED, code=code, elsewhere=rules.may_go_elsewhere(code), **common)


def _charge_finding(outcome: Outcome, *, repeat: bool) -> Finding:
    match outcome:
        case Succeeded(reply):
            return _intent_finding(reply)
        case Refused(reply):
            return _refused_charge(reply, repeat=repeat or outcome.after_unknown)
        case Throttled() | NotSent() if not repeat:
            return Finding(Fact.UNDECIDED, available=False, code=UNAVAILABLE, elsewhere=True)
    return Finding(Fact.UNDECIDED)


def _refused_charge(reply: Reply, *, repeat: bool) -> Finding:
    body = _body(reply)
    raw = body.get("error")
    error: dict[str, Any] = raw if isinstance(raw, dict) else {}
    intent = error.get("payment_intent")
    reference = str(intent.get("id", "")) if isinstance(intent, dict) else ""
    # A card's refusal is remembered under the key: it speaks for every sending.
    if error.get("type") == "card_error":
        return _declined(error, reference=reference, source_id=_request_id(reply))
    if isinstance(intent, dict):
        found = read_intent(intent, source_id=_request_id(reply))
        if found.fact is not Fact.PLACED:
            return found
    if repeat or error.get("type") == "idempotency_error":
        return Finding(Fact.UNDECIDED, reference=reference)
    code = str(error.get("code") or f"status_{reply.status}")[:64]
    return Finding(Fact.REFUSED, reference=reference, code=code, elsewhere=True, source_id=_request_id(reply))


def _intent_operation(outcome: Outcome, *, wanted: Fact, repeat: bool) -> OperationFinding:
    """What a capture's or a cancellation's answer proves, from the intent that it carries."""
    if isinstance(outcome, Succeeded):
        charge = _intent_finding(outcome.reply)
        state = OperationState.SUCCEEDED if charge.fact is wanted else OperationState.UNKNOWN
        return _operation(state, charge)
    if isinstance(outcome, Refused):
        error = _body(outcome.reply).get("error")
        intent = error.get("payment_intent") if isinstance(error, dict) else None
        if isinstance(intent, dict):
            charge = read_intent(intent, source_id=_request_id(outcome.reply))
            if charge.fact is wanted:
                return _operation(OperationState.SUCCEEDED, charge)
            if charge.fact in (Fact.CAPTURED, Fact.CANCELED, Fact.REFUSED):
                # The intent ended another way, so this can never happen any more.
                code = str(error.get("code", ""))[:64] if isinstance(error, dict) else ""
                return _operation(OperationState.REFUSED, charge, code=code)
    return _operation_failure(outcome, repeat=repeat)


def _operation(state: OperationState, charge: Finding, *, code: str = "") -> OperationFinding:
    return OperationFinding(
        state,
        reference=charge.reference,
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        code=code,
        source_id=charge.source_id,
        charge=charge,
    )


def _operation_failure(outcome: Outcome, *, repeat: bool) -> OperationFinding:
    if not isinstance(outcome, Refused) or repeat or outcome.after_unknown:
        code = "" if isinstance(outcome, Unknown) else UNAVAILABLE
        return OperationFinding(OperationState.UNKNOWN, code=code)
    raw = _body(outcome.reply).get("error")
    error: dict[str, Any] = raw if isinstance(raw, dict) else {}
    if error.get("type") == "idempotency_error" or outcome.reply.status in (401, 403):
        # Nothing was done, and it may be done once the account works again: keep asking.
        return OperationFinding(OperationState.UNKNOWN, code=str(error.get("type", "")))
    code = str(error.get("code") or f"status_{outcome.reply.status}")[:64]
    return OperationFinding(OperationState.REFUSED, code=code, source_id=_request_id(outcome.reply))


def _refund_finding(refund: Mapping[str, Any], *, source_id: str) -> OperationFinding:
    state = _REFUND_STATES.get(str(refund.get("status")), OperationState.UNKNOWN)
    return OperationFinding(
        state,
        reference=str(refund.get("id", "")),
        amount_minor=_integer(refund.get("amount")),
        currency=str(refund.get("currency", "")).upper(),
        code=str(refund.get("failure_reason") or "")[:64],
        source_id=source_id,
    )


def _notice(body: bytes) -> Notice:
    try:
        event = json.loads(body)
        kind, event_id = str(event["type"]), str(event["id"])
        occurred_at = datetime.fromtimestamp(int(event["created"]), UTC)
        subject = event["data"]["object"]
        metadata = {str(name): str(value) for name, value in (subject.get("metadata") or {}).items()}
        reference = str(subject.get("id", ""))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError) as error:
        raise BadSignature("the body is not an event") from error
    common: dict[str, Any] = {"event_id": event_id, "kind": kind, "occurred_at": occurred_at, "owner": metadata}
    match subject.get("object"):
        case "payment_intent":
            finding = read_intent(subject, source_id=event_id)
            return Notice(subject=Subject.CHARGE, reference=reference, charge=finding, **common)
        case "refund":
            return Notice(
                subject=Subject.REFUND,
                reference=reference,
                charge_reference=str(subject.get("payment_intent") or ""),
                refund=_refund_finding(subject, source_id=event_id),
                **common,
            )
    return Notice(subject=Subject.OTHER, reference=reference, **common)
