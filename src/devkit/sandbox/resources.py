"""Customers, payment methods, charges, refunds, events, webhook endpoints."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from devkit.sandbox import objects
from devkit.sandbox.behaviours import CARDS
from devkit.sandbox.call import Call
from devkit.sandbox.errors import StripeError, invalid
from devkit.sandbox.store import Stored

REFUND_SETTLES_S = 1.0
TOKENS = {
    "tok_visa": "pm_card_visa",
    "tok_mastercard": "pm_card_mastercard",
    "tok_amex": "pm_card_amex",
}


def listed(call: Call, kind: str, url: str, keep: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """A list as Stripe pages it: newest first, ``limit``, ``starting_after``."""
    limit = min(call.integer("limit") or 10, 100)
    rows = [stored.body for stored in call.store.all(call.account, kind) if keep(stored.body)]
    if after := call.text("starting_after"):
        ids = [row["id"] for row in rows]
        rows = rows[ids.index(after) + 1 :] if after in ids else []
    return {"object": "list", "data": rows[:limit], "has_more": len(rows) > limit, "url": url}


def _equal(call: Call, *names: str) -> Callable[[dict[str, Any]], bool]:
    wanted = {name: value for name in names if (value := call.text(name)) is not None}
    return lambda body: all(body.get(name) == value for name, value in wanted.items())


# Customers and payment methods


def create_customer(call: Call) -> dict[str, Any]:
    """POST /v1/customers."""
    call.only(("description", "email", "metadata", "name", "phone"))
    fields = {name: value for name in ("description", "email", "name", "phone") if (value := call.text(name))}
    body = objects.customer(metadata=call.mapping("metadata"), fields=fields, now=call.second)
    return call.add("customer", body).body


def retrieve_customer(call: Call, identifier: str) -> dict[str, Any]:
    """GET /v1/customers/:id."""
    return call.load("customer", identifier).body


def create_method(call: Call) -> dict[str, Any]:
    """POST /v1/payment_methods with ``card[token]``; card numbers never belong here."""
    call.only(("type", "card", "billing_details", "metadata"))
    if call.required("type") != "card":
        raise invalid("Only cards exist in the sandbox.", param="type")
    token = str(call.mapping("card").get("token", ""))
    name = TOKENS.get(token, token)
    if name not in CARDS:
        raise invalid(f"No such token: '{token}'", param="card[token]", code="resource_missing")
    return call.add("payment_method", objects.payment_method(CARDS[name], now=call.second), token=name).body


def _method(call: Call, identifier: str) -> Stored:
    if identifier in CARDS:
        body = objects.payment_method(CARDS[identifier], now=call.second)
        return call.add("payment_method", body, token=identifier)
    return call.load("payment_method", identifier)


def retrieve_method(call: Call, identifier: str) -> dict[str, Any]:
    """GET /v1/payment_methods/:id."""
    return _method(call, identifier).body


def attach_method(call: Call, identifier: str) -> dict[str, Any]:
    """POST /v1/payment_methods/:id/attach: from now on it can be charged again and again."""
    call.only(("customer",))
    customer = call.load("customer", call.required("customer"), param="customer")
    method = _method(call, identifier)
    method.body["customer"] = customer.id
    call.save(method)
    return method.body


def detach_method(call: Call, identifier: str) -> dict[str, Any]:
    """POST /v1/payment_methods/:id/detach."""
    method = call.load("payment_method", identifier)
    if method.body["customer"] is None:
        raise invalid("The payment method you provided is not attached to a customer.", param="id")
    method.body["customer"] = None
    method.private["used"] = True
    call.save(method)
    return method.body


# Charges, refunds, events


def retrieve_charge(call: Call, identifier: str) -> dict[str, Any]:
    """GET /v1/charges/:id."""
    return call.load("charge", identifier).body


def list_charges(call: Call) -> dict[str, Any]:
    """GET /v1/charges."""
    return listed(call, "charge", "/v1/charges", _equal(call, "payment_intent", "customer"))


def create_refund(call: Call) -> dict[str, Any]:
    """POST /v1/refunds of a charge or of an intent's charge."""
    call.only(("amount", "charge", "metadata", "payment_intent", "reason"))
    charge = _charge_to_refund(call)
    left = charge.body["amount_captured"] - charge.body["amount_refunded"]
    if left == 0:
        raise StripeError(
            400,
            "invalid_request_error",
            f"Charge {charge.id} has already been refunded.",
            code="charge_already_refunded",
            stored=True,
        )
    amount = call.integer("amount")
    amount = left if amount is None else amount
    if amount < 1:
        raise invalid("Invalid positive integer", param="amount", code="parameter_invalid_integer")
    if amount > left:
        raise invalid(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
            param="amount",
        )
    reason = call.one_of("reason", ("duplicate", "fraudulent", "requested_by_customer"))
    behaviour = charge.private["refund"]
    status = "pending" if behaviour == "pending" else "succeeded"
    refund = call.add(
        "refund",
        objects.refund(
            charge.body, amount=amount, reason=reason, status=status,
            metadata=call.mapping("metadata"),
            now=call.second,
        ),
    )  # fmt: skip
    charge.body["amount_refunded"] += amount
    charge.body["refunded"] = charge.body["amount_refunded"] == charge.body["amount_captured"]
    call.save(charge)
    intent = call.load("payment_intent", charge.body["payment_intent"])
    call.moved("refund", object_id=refund.id, intent=intent.body, amount=amount)
    call.emit("refund.created", refund.body)
    call.emit("charge.refunded", charge.body)
    if behaviour in ("pending", "fails"):
        action = "finish_refund" if behaviour == "pending" else "fail_refund"
        due = call.now + call.store.setting("refund_settles_s", REFUND_SETTLES_S)
        call.store.add_later(call.account, action=action, object_id=refund.id, due=due)
    return refund.body


def _charge_to_refund(call: Call) -> Stored:
    if identifier := call.text("payment_intent"):
        intent = call.load("payment_intent", identifier, param="payment_intent")
        latest = intent.body["latest_charge"]
        charge = None if latest is None else call.load("charge", latest)
    else:
        charge = call.load("charge", call.required("charge"), param="charge")
    if charge is None or not charge.body["captured"]:
        raise invalid(
            "This PaymentIntent does not have a successful charge to refund.",
            param="payment_intent",
        )
    return charge


def retrieve_refund(call: Call, identifier: str) -> dict[str, Any]:
    """GET /v1/refunds/:id."""
    return call.load("refund", identifier).body


def list_refunds(call: Call) -> dict[str, Any]:
    """GET /v1/refunds."""
    return listed(call, "refund", "/v1/refunds", _equal(call, "payment_intent", "charge"))


def finish_refund(call: Call, identifier: str) -> None:
    """A pending refund has gone through."""
    refund = call.load("refund", identifier)
    refund.body["status"] = "succeeded"
    call.save(refund)
    call.emit("refund.updated", refund.body)


def fail_refund(call: Call, identifier: str) -> None:
    """The card's bank sent a refund back: the money is with the account again."""
    refund = call.load("refund", identifier)
    refund.body |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
    call.save(refund)
    charge = call.load("charge", refund.body["charge"])
    charge.body["amount_refunded"] -= refund.body["amount"]
    charge.body["refunded"] = False
    call.save(charge)
    intent = call.load("payment_intent", refund.body["payment_intent"])
    call.moved("refund_failed", object_id=refund.id, intent=intent.body, amount=refund.body["amount"])
    call.emit("refund.failed", refund.body)


def retrieve_event(call: Call, identifier: str) -> dict[str, Any]:
    """GET /v1/events/:id."""
    return call.load("event", identifier).body


def list_events(call: Call) -> dict[str, Any]:
    """GET /v1/events."""
    return listed(call, "event", "/v1/events", _equal(call, "type"))


# Webhook endpoints


def create_endpoint(call: Call) -> dict[str, Any]:
    """POST /v1/webhook_endpoints; the answer is the only one that shows the signing secret."""
    call.only(("url", "enabled_events", "description", "metadata", "api_version"))
    url = call.required("url")
    if not url.startswith(("http://", "https://")):
        raise invalid("Invalid URL", param="url", code="url_invalid")
    events = call.params.get("enabled_events")
    if not isinstance(events, list) or not events:
        raise invalid("Missing required param: enabled_events.", param="enabled_events")
    secret = "whsec_" + secrets.token_urlsafe(24)
    body = objects.webhook_endpoint(url=url, enabled_events=[str(name) for name in events], now=call.second)
    call.add("webhook_endpoint", body, secret=secret)
    return body | {"secret": secret}


def list_endpoints(call: Call) -> dict[str, Any]:
    """GET /v1/webhook_endpoints."""
    return listed(call, "webhook_endpoint", "/v1/webhook_endpoints", lambda body: True)
