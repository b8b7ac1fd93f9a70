"""The objects of the API as Stripe renders them (version 2024 and later: no ``charges`` inside an
intent).
"""

from __future__ import annotations

from typing import Any

from devkit.sandbox.behaviours import Card
from devkit.sandbox.store import new_id

API_VERSION = "2025-08-27.basil"


def billing_details() -> dict[str, Any]:
    """Nobody's address."""
    address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    return {"address": address, "email": None, "name": None, "phone": None, "tax_id": None}


def _checks() -> dict[str, Any]:
    return {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"}


def payment_method(card: Card, *, now: int) -> dict[str, Any]:
    """A card."""
    return {
        "id": new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing_details(),
        "card": {
            "brand": card.brand,
            "checks": _checks(),
            "country": "US",
            "display_brand": card.brand,
            "exp_month": 8,
            "exp_year": 2034,
            "fingerprint": f"fingerprint{card.last4}",
            "funding": "credit",
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }


def payment_intent(
    *, amount: int, currency: str, metadata: dict[str, Any], fields: dict[str, Any], now: int
) -> dict[str, Any]:
    """An intent that waits for a payment method; ``fields`` are further parameters as they were
    given.
    """
    identifier = new_id("pi")
    return {
        "id": identifier,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{identifier}_secret_{new_id('s')[2:]}",
        "confirmation_method": "automatic",
        "created": now,
        "currency": currency,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": metadata,
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    } | fields


def charge(intent: dict[str, Any], card: Card, *, method: str, now: int) -> dict[str, Any]:
    """The charge of an intent, refused when the card has an error code."""
    refused = card.code is not None
    manual = intent["capture_method"] == "manual"
    identifier = new_id("ch")
    return {
        "id": identifier,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0 if refused or manual else intent["amount"],
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": billing_details(),
        "calculated_statement_descriptor": None,
        "captured": not refused and not manual,
        "created": now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": card.code,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "declined_by_network" if refused else "approved_by_network",
            "reason": card.decline_code,
            "seller_message": None,
            "type": "issuer_declined" if refused else "authorized",
        },
        "paid": not refused,
        "payment_intent": intent["id"],
        "payment_method": method,
        "payment_method_details": {
            "card": {
                "amount_authorized": None if refused else intent["amount"],
                "brand": card.brand,
                "checks": _checks(),
                "country": "US",
                "exp_month": 8,
                "exp_year": 2034,
                "fingerprint": f"fingerprint{card.last4}",
                "funding": "credit",
                "installments": None,
                "last4": card.last4,
                "mandate": None,
                "network": card.brand,
                "three_d_secure": None,
                "wallet": None,
            },
            "type": "card",
        },
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "failed" if refused else "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    }


def refund(
    charge_body: dict[str, Any],
    *,
    amount: int,
    reason: str | None,
    status: str,
    metadata: dict[str, Any],
    now: int,
) -> dict[str, Any]:
    """Money given back, or on its way."""
    return {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge_body["id"],
        "created": now,
        "currency": charge_body["currency"],
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": metadata,
        "payment_intent": charge_body["payment_intent"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }


def customer(*, metadata: dict[str, Any], fields: dict[str, Any], now: int) -> dict[str, Any]:
    """A customer without a history."""
    identifier = new_id("cus")
    return {
        "id": identifier,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": now,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": identifier[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": metadata,
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    } | fields


def webhook_endpoint(*, url: str, enabled_events: list[str], now: int) -> dict[str, Any]:
    """Where events go. Its ``secret`` is shown at creation only."""
    return {
        "id": new_id("we"),
        "object": "webhook_endpoint",
        "api_version": None,
        "application": None,
        "created": now,
        "description": None,
        "enabled_events": enabled_events,
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
    }


def event(kind: str, body: dict[str, Any], *, request_id: str | None, key: str | None, now: int) -> dict[str, Any]:
    """What happened, with the object as it was at that moment."""
    return {
        "id": new_id("evt"),
        "object": "event",
        "api_version": API_VERSION,
        "created": now,
        "data": {"object": body},
        "livemode": False,
        "pending_webhooks": 0,
        "request": {"id": request_id, "idempotency_key": key},
        "type": kind,
    }
