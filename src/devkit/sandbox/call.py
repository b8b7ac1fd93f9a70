"""One request to the sandbox as its operations see it, with the readers of its parameters."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from devkit.sandbox import objects
from devkit.sandbox.errors import StripeError, invalid, missing
from devkit.sandbox.forms import Params
from devkit.sandbox.store import Account, Store, Stored

MAX_AMOUNT = 99_999_999
MINIMUM_AMOUNTS = {"usd": 50, "eur": 50, "chf": 50, "gbp": 30, "jpy": 50}
_INTEGER = re.compile(r"-?\d+\Z")


@dataclass(slots=True)
class Call:
    """Who asks for what, and when (seconds since the epoch)."""

    store: Store
    account: Account
    params: Params
    now: float
    request_id: str
    key: str | None
    faulty: bool = False  # inside a card's own fault: strike no second time
    decline: str | None = None  # decline code that the whole account answers charges with

    @property
    def second(self) -> int:
        """The moment in whole seconds, as Stripe writes times."""
        return int(self.now)

    # Parameters

    def only(self, names: Iterable[str]) -> None:
        """Refuse parameters that this operation does not have."""
        allowed = {*names, "expand"}
        for name in self.params:
            if name not in allowed:
                raise invalid(f"Received unknown parameter: {name}", param=name, code="parameter_unknown")

    def text(self, name: str, default: str | None = None) -> str | None:
        """A text parameter."""
        value = self.params.get(name, default)
        if value is not None and not isinstance(value, str):
            raise invalid(f"Invalid string: {value}", param=name)
        return value or None

    def required(self, name: str) -> str:
        """A text parameter that must be there."""
        value = self.text(name)
        if value is None:
            raise invalid(f"Missing required param: {name}.", param=name, code="parameter_missing")
        return value

    def integer(self, name: str) -> int | None:
        """A whole number, or None when absent."""
        value = self.text(name)
        if value is None:
            return None
        if not _INTEGER.match(value) or len(value) > 18:
            raise invalid(f"Invalid integer: {value}", param=name, code="parameter_invalid_integer")
        return int(value)

    def flag(self, name: str) -> bool:
        """true or false."""
        value = self.text(name, "false")
        if value not in ("true", "false", "1", "0"):
            raise invalid(f"Invalid boolean: {value}", param=name)
        return value in ("true", "1")

    def one_of(self, name: str, allowed: tuple[str, ...], default: str | None = None) -> str | None:
        """One of a few words."""
        value = self.text(name, default)
        if value is not None and value not in allowed:
            raise invalid(f"Invalid {name}: must be one of {', '.join(allowed)}", param=name)
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """A nested parameter such as metadata."""
        value = self.params.get(name) or {}
        if not isinstance(value, dict):
            raise invalid("Invalid object", param=name)
        return value

    def amount(self, name: str, *, currency: str, ceiling: int = MAX_AMOUNT) -> int:
        """A chargeable amount of minor units."""
        self.required(name)
        value = self.integer(name) or 0
        if value < 1:
            raise invalid(
                "This value must be greater than or equal to 1.",
                param=name,
                code="parameter_invalid_integer",
            )
        if value < MINIMUM_AMOUNTS.get(currency, 1):
            raise invalid("Amount is below the minimum charge amount.", param=name, code="amount_too_small")
        if value > ceiling:
            raise invalid("Amount must be no more than 99999999.", param=name, code="amount_too_large")
        return value

    # Objects

    def load(self, kind: str, identifier: str, *, param: str = "id") -> Stored:
        """An object of this account. Raises ``resource_missing``."""
        stored = self.store.get(self.account, kind, identifier)
        if stored is None:
            raise missing(kind, identifier, param=param)
        return stored

    def add(self, kind: str, body: dict[str, Any], **private: Any) -> Stored:
        """A new object of this account."""
        return self.store.add(self.account, Stored(kind, body, private, self.now))

    def save(self, stored: Stored) -> None:
        """Keep an object's new state."""
        self.store.save(self.account, stored)

    def emit(self, kind: str, body: dict[str, Any]) -> None:
        """Record an event and queue it for every endpoint that asked for its type."""
        rendered = objects.event(kind, copy.deepcopy(body), request_id=self.request_id, key=self.key, now=self.second)
        endpoints = [
            endpoint.id
            for endpoint in self.store.all(self.account, "webhook_endpoint")
            if {"*", kind} & set(endpoint.body["enabled_events"])
        ]
        rendered["pending_webhooks"] = len(endpoints)
        self.add("event", rendered)
        due = self.now + self.store.setting("webhook_delay_s", 0.0)
        for endpoint in endpoints:
            self.store.add_delivery(self.account, event=rendered["id"], endpoint=endpoint, due=due)

    def moved(self, kind: str, *, object_id: str, intent: dict[str, Any], amount: int) -> None:
        """Write down an effect."""
        self.store.add_effect(self.account, kind, object_id=object_id, intent=intent, amount=amount, now=self.now)


def unexpected_state(message: str, intent: dict[str, Any]) -> StripeError:
    """400: the intent is in a state that does not allow this."""
    return StripeError(
        400,
        "invalid_request_error",
        message,
        code="payment_intent_unexpected_state",
        stored=True,
        payment_intent=intent,
    )
