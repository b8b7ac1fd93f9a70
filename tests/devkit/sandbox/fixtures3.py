"""The provider's published example objects, and how an object of ours is held against them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

FILE = "stripe-fixtures3.json"
# Members that the published example leaves out although the API reference documents them.
DOCUMENTED = {"refund": {"failure_reason", "failure_balance_transaction"}}
# Members that every answer has to carry for a client of the provider to work.
OPTIONAL = {"payment_intent": {"managed_payments"}, "charge": {"refunds"}}


def load() -> dict[str, Any]:
    """The example objects by resource; skips the test where the contract files are absent."""
    folder = Path(os.environ.get("KEYSTEAD_CONTRACTS", "../shared/contracts"))
    if not (folder / FILE).is_file():
        pytest.skip(f"no {FILE} in {folder.resolve()} (set KEYSTEAD_CONTRACTS)")
    return json.loads((folder / FILE).read_text())["resources"]


def violations(kind: str, body: dict[str, Any], example: dict[str, Any]) -> list[str]:
    """Where ``body`` is not shaped as the provider's example of this kind."""
    extra = set(body) - set(example) - DOCUMENTED.get(kind, set())
    problems = [f"{kind}.{name} is not a member" for name in sorted(extra)]
    lacking = {name for name in example if name not in body and name not in OPTIONAL.get(kind, set())} - {
        "customer_account",
        "customer",
        "payment_method",
    }
    problems += [f"{kind}.{name} is missing" for name in sorted(lacking)]
    for name, value in body.items():
        other = example.get(name)
        if value is None or other is None or name in ("source", "metadata"):
            continue
        if type(value) is not type(other):
            problems.append(f"{kind}.{name} is {type(value).__name__}, not {type(other).__name__}")
    return problems
