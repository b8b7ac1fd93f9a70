"""Payment intents: create, confirm, capture, cancel, look up, search."""

from __future__ import annotations

import re
from typing import Any

from devkit.sandbox import objects
from devkit.sandbox.behaviours import CARDS, MESSAGES, Card, Kind
from devkit.sandbox.call import Call, unexpected_state
from devkit.sandbox.errors import StripeError, invalid
from devkit.sandbox.store import Stored

CREATE_PARAMS = [
    "amount",
    "automatic_payment_methods",
    "capture_method",
    "confirm",
    "confirmation_method",
    "currency",
    "customer",
    "description",
    "error_on_requires_action",
    "metadata",
    "off_session",
    "payment_method",
    "payment_method_types",
    "receipt_email",
    "return_url",
    "setup_future_usage",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
]
CONFIRM_PARAMS = [
    "capture_method",
    "error_on_requires_action",
    "off_session",
    "payment_method",
    "receipt_email",
    "return_url",
    "setup_future_usage",
]
CANCELLABLE = (
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "requires_capture",
)
DEFAULT_SEARCH_LAG_S = 60.0
PROCESSING_S = 1.0
_CURRENCY = re.compile(r"[a-z]{3}\Z")
_CLAUSE = re.compile(
    r"(?:(?P<field>[a-z_]+)|metadata\[['\"](?P<meta>[^'\"]+)['\"]\])\s*:\s*['\"](?P<value>[^'\"]*)['\"]"
)


class CardFault(Exception):
    """The card's own fault strikes, before or after the effect."""

    def __init__(self, kind: Kind, delay_ms: int, intent: str) -> None:
        super().__init__(kind)
        self.intent = intent
        self.kind = kind
        self.delay_ms = delay_ms


def create(call: Call) -> dict[str, Any]:
    """POST /v1/payment_intents."""
    call.only(CREATE_PARAMS)
    currency = call.required("currency").lower()
    if not _CURRENCY.match(currency):
        raise invalid(f"Invalid currency: {currency}.", param="currency")
    amount = call.amount("amount", currency=currency)
    fields = {
        name: value
        for name in ("description", "receipt_email", "setup_future_usage", "statement_descriptor",
                     "statement_descriptor_suffix", "transfer_group")
        if (value := call.text(name)) is not None
    }  # fmt: skip
    capture_method = call.one_of("capture_method", ("automatic", "automatic_async", "manual"))
    if capture_method:
        fields["capture_method"] = capture_method
    if customer := call.text("customer"):
        fields["customer"] = call.load("customer", customer, param="customer").id
    metadata = call.mapping("metadata")
    body = objects.payment_intent(amount=amount, currency=currency, metadata=metadata, fields=fields, now=call.second)
    intent = call.add("payment_intent", body)
    if method := call.text("payment_method"):
        _use_method(call, intent, method)
    call.emit("payment_intent.created", intent.body)
    if call.flag("confirm"):
        return _charge(call, intent)
    call.save(intent)
    return intent.body


def confirm(call: Call, identifier: str) -> dict[str, Any]:
    """POST /v1/payment_intents/:id/confirm."""
    call.only(CONFIRM_PARAMS)
    intent = call.load("payment_intent", identifier, param="intent")
    if intent.body["status"] not in (
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
    ):
        raise unexpected_state(
            f"This PaymentIntent's status is {intent.body['status']}; it cannot be confirmed.",
            intent.body,
        )
    if method := call.text("payment_method"):
        _use_method(call, intent, method)
    if intent.body["payment_method"] is None:
        raise unexpected_state("You cannot confirm this PaymentIntent without a payment method.", intent.body)
    return _charge(call, intent)


def _use_method(call: Call, intent: Stored, token: str) -> None:
    """Bind a payment method: a stored one, or a test token (each use makes a new method)."""
    if token in CARDS:
        body = objects.payment_method(CARDS[token], now=call.second)
        method = call.add("payment_method", body, token=token)
    else:
        method = call.load("payment_method", token, param="payment_method")
        if method.private.get("used") and method.body["customer"] is None:
            raise invalid(
                "The provided PaymentMethod was previously used with a PaymentIntent without"
                " Customer attachment"
                " and may not be used again.",
                param="payment_method",
                code="payment_method_unexpected_state",
            )
        if method.body["customer"] not in (None, intent.body["customer"]):
            raise invalid("The PaymentMethod belongs to another customer.", param="payment_method")
    intent.body["payment_method"] = method.id
    intent.body["status"] = "requires_confirmation"


def _charge(call: Call, intent: Stored) -> dict[str, Any]:
    method = call.load("payment_method", intent.body["payment_method"])
    card = CARDS[method.private["token"]]
    if card.fault is not None and not call.faulty and not intent.private.get("struck"):
        raise CardFault(card.fault, card.delay_ms, intent.id)
    if call.decline is not None:
        card = Card(last4=card.last4, code="card_declined", decline_code=call.decline)
    method.private["used"] = True
    call.save(method)
    if card.processing:
        intent.body["status"] = "processing"
        intent.body["processing"] = {"type": "card"}
        call.save(intent)
        call.emit("payment_intent.processing", intent.body)
        delay = call.store.setting("processing_s", PROCESSING_S)
        call.store.add_later(call.account, action="finish_processing", object_id=intent.id, due=call.now + delay)
        return intent.body
    return settle(call, intent, card, method.body)


def settle(call: Call, intent: Stored, card: Card, method: dict[str, Any]) -> dict[str, Any]:
    """Decide a charge: money reserved or moved, or a refusal."""
    charge = call.add(
        "charge",
        objects.charge(intent.body, card, method=method["id"], now=call.second),
        refund=card.refund,
    )
    intent.body |= {"latest_charge": charge.id, "processing": None}
    if card.code is not None:
        raise _refused(call, intent, charge, card, method)
    amount = intent.body["amount"]
    intent.body["last_payment_error"] = None
    if intent.body["capture_method"] == "manual":
        intent.body |= {"status": "requires_capture", "amount_capturable": amount}
        call.moved("authorization", object_id=charge.id, intent=intent.body, amount=amount)
        kind = "payment_intent.amount_capturable_updated"
    else:
        intent.body |= {"status": "succeeded", "amount_received": amount}
        call.moved("charge", object_id=charge.id, intent=intent.body, amount=amount)
        kind = "payment_intent.succeeded"
    call.save(intent)
    call.emit("charge.succeeded", charge.body)
    call.emit(kind, intent.body)
    return intent.body


def _refused(call: Call, intent: Stored, charge: Stored, card: Card, method: dict[str, Any]) -> StripeError:
    code = card.code or "card_declined"
    members = {
        "charge": charge.id,
        "code": code,
        "message": MESSAGES[code],
        "payment_method": method,
        "type": "card_error",
    }
    if card.decline_code:
        members["decline_code"] = card.decline_code
    charge.body["failure_message"] = MESSAGES[code]
    call.save(charge)
    intent.body |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "last_payment_error": members,
    }
    call.save(intent)
    call.emit("charge.failed", charge.body)
    call.emit("payment_intent.payment_failed", intent.body)
    details: dict[str, Any] = {
        name: value for name, value in members.items() if name not in ("message", "type", "code")
    }
    return StripeError(
        402,
        "card_error",
        MESSAGES[code],
        code=code,
        stored=True,
        payment_intent=intent.body,
        **details,
    )


def capture(call: Call, identifier: str) -> dict[str, Any]:
    """POST /v1/payment_intents/:id/capture: once; what is not captured is released."""
    call.only(("amount_to_capture", "metadata", "statement_descriptor", "statement_descriptor_suffix"))
    intent = call.load("payment_intent", identifier, param="intent")
    if intent.body["status"] != "requires_capture":
        raise unexpected_state(
            f"This PaymentIntent could not be captured because it has a status of {intent.body['status']}.",
            intent.body,
        )
    amount = call.integer("amount_to_capture")
    amount = intent.body["amount_capturable"] if amount is None else amount
    if not 1 <= amount <= intent.body["amount_capturable"]:
        raise invalid(
            "The amount to capture must be between 1 and the authorized amount.",
            param="amount_to_capture",
            code="amount_too_large",
        )
    charge = call.load("charge", intent.body["latest_charge"])
    released = intent.body["amount_capturable"] - amount
    charge.body |= {"captured": True, "amount_captured": amount, "amount_refunded": 0}
    intent.body |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
    call.save(charge)
    call.save(intent)
    call.moved("charge", object_id=charge.id, intent=intent.body, amount=amount)
    if released:
        call.moved("release", object_id=charge.id, intent=intent.body, amount=released)
    call.emit("charge.captured", charge.body)
    call.emit("payment_intent.succeeded", intent.body)
    return intent.body


def cancel(call: Call, identifier: str) -> dict[str, Any]:
    """POST /v1/payment_intents/:id/cancel: releases what was authorized; nothing can be charged
    after it.
    """
    call.only(("cancellation_reason",))
    reason = call.one_of("cancellation_reason", ("duplicate", "fraudulent", "requested_by_customer", "abandoned"))
    intent = call.load("payment_intent", identifier, param="intent")
    if intent.body["status"] not in CANCELLABLE:
        raise unexpected_state(
            f"You cannot cancel this PaymentIntent because it has a status of {intent.body['status']}.",
            intent.body,
        )
    if released := intent.body["amount_capturable"]:
        call.moved("release", object_id=intent.body["latest_charge"], intent=intent.body, amount=released)
    intent.body |= {
        "status": "canceled",
        "canceled_at": call.second,
        "cancellation_reason": reason,
        "amount_capturable": 0,
    }
    call.save(intent)
    call.emit("payment_intent.canceled", intent.body)
    return intent.body


def retrieve(call: Call, identifier: str) -> dict[str, Any]:
    """GET /v1/payment_intents/:id, which never lags."""
    call.only(("client_secret",))
    return call.load("payment_intent", identifier, param="intent").body


def search(call: Call) -> dict[str, Any]:
    """GET /v1/payment_intents/search: an index that runs behind, so that "not found" proves
    nothing.
    """
    call.only(("query", "limit", "page"))
    query = call.required("query")
    clauses = [match.groupdict() for match in _CLAUSE.finditer(query)]
    if not clauses:
        raise invalid("We were unable to parse your search query.", param="query")
    indexed_until = call.now - call.store.setting("search_lag_s", DEFAULT_SEARCH_LAG_S)
    found = [
        intent.body
        for intent in call.store.all(call.account, "payment_intent")
        if intent.created <= indexed_until and all(_matches(intent.body, clause) for clause in clauses)
    ]
    limit = min(call.integer("limit") or 10, 100)
    return {
        "object": "search_result",
        "data": found[:limit],
        "has_more": len(found) > limit,
        "next_page": None,
        "url": "/v1/payment_intents/search",
    }


def _matches(body: dict[str, Any], clause: dict[str, str | None]) -> bool:
    if clause["meta"] is not None:
        return body["metadata"].get(clause["meta"]) == clause["value"]
    return str(body.get(str(clause["field"]))) == clause["value"]


def mark_struck(call: Call, identifier: str) -> None:
    """Remember that the card's fault struck this intent; one made and charged in one go is gone."""
    intent = call.store.get(call.account, "payment_intent", identifier)
    if intent is not None:
        intent.private["struck"] = True
        call.save(intent)


def finish_processing(call: Call, identifier: str) -> None:
    """The provider decides a charge that it had left open."""
    intent = call.load("payment_intent", identifier)
    if intent.body["status"] == "processing":
        method = call.load("payment_method", intent.body["payment_method"])
        settle(call, intent, Card(), method.body)
