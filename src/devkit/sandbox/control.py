"""What only a sandbox has: tell an account how to behave, and count what really moved."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.responses import JSONResponse, Response

from devkit.sandbox.behaviours import Fault
from devkit.sandbox.store import Store

SETTINGS = frozenset(
    (
        "key_lifetime_s",
        "processing_s",
        "refund_settles_s",
        "search_lag_s",
        "webhook_delay_s",
        "webhook_duplicates",
        "webhook_shuffle",
    )
)
_FAULTS = re.compile(r"/_control/accounts/(?P<key>(?:sk|rk)_test_\w+)/faults\Z")


def respond(store: Store, method: str, path: str, body: bytes | None, now: float) -> Response:
    """Answer a control request.

    ``PUT /_control/accounts/<secret key>/faults`` with ``{"faults": [{"kind": "decline"}]}``
    (``GET`` shows them);
    ``PUT /_control/settings`` with ``{"search_lag_s": 0}``; ``POST /_control/keys/expire`` forgets
    every
    idempotency key, as Stripe does after 24 hours; ``GET /_control/charges`` lists money taken,
    with totals per
    payment intent; ``GET /_control/effects`` everything that moved; ``GET /_control/deliveries``;
    ``GET /_control/health``.
    """
    try:
        return _respond(store, method, path, json.loads(body or b"{}"), now)
    except (ValueError, TypeError, AttributeError) as error:
        return JSONResponse({"error": str(error)}, 400)


def _respond(store: Store, method: str, path: str, body: dict[str, Any], now: float) -> Response:
    match = _FAULTS.match(path)
    if match is not None:
        account = store.account(match["key"])
        if method == "PUT":
            faults = [Fault.parse(raw) for raw in body["faults"]] if "faults" in body else []
            store.set_faults(account, [fault.as_dict() for fault in faults])
        return JSONResponse({"account": account.id, "faults": store.faults(account)})
    match (method, path):
        case ("GET", "/_control/health"):
            return JSONResponse({"status": "ok"})
        case ("PUT", "/_control/settings"):
            unknown = set(body) - SETTINGS
            if unknown:
                raise ValueError(f"no such setting: {', '.join(sorted(unknown))}")
            for name, value in body.items():
                store.set_setting(name, float(value))
            return JSONResponse(body)
        case ("POST", "/_control/keys/expire"):
            return JSONResponse({"forgotten": store.forget_answers(now)})
        case ("GET", "/_control/charges"):
            return JSONResponse(charges(store))
        case ("GET", "/_control/effects"):
            return JSONResponse({"data": store.effects()})
        case ("GET", "/_control/deliveries"):
            return JSONResponse({"data": store.deliveries()})
    return JSONResponse({"error": f"no such control: {method} {path}"}, 404)


def charges(store: Store) -> dict[str, Any]:
    """Every charge that took money, and what each metadata value was charged in total.

    ``by_metadata`` maps ``"<name>=<value>"`` to the number of charges that carry it, which is how a
    test or
    the demo shows that a payment was charged exactly once over all accounts.
    """
    rows = [row for row in store.effects() if row["kind"] == "charge"]
    counts: dict[str, int] = {}
    for row in rows:
        for name, value in row["metadata"].items():
            counts[f"{name}={value}"] = counts.get(f"{name}={value}", 0) + 1
    return {"data": rows, "count": len(rows), "by_metadata": counts}
