"""Requests written by hand, so that the sandbox's wire format is tested and not our adapter."""

from __future__ import annotations

from typing import Any

import httpx2

from tests.devkit.sandbox.server import SandboxProcess


def post(
    sandbox: SandboxProcess,
    key: str,
    path: str,
    data: dict[str, Any] | None = None,
    *,
    idempotency_key: str | None = None,
) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {key}"}
    if idempotency_key:
        headers["Idempotency-Key"] = idempotency_key
    return sandbox.http.post(path, data=data or {}, headers=headers)


def get(sandbox: SandboxProcess, key: str, path: str, **params: str) -> httpx2.Response:
    return sandbox.http.get(path, params=params, headers={"Authorization": f"Bearer {key}"})


def intent(sandbox: SandboxProcess, key: str, method: str = "pm_card_visa", **fields: Any) -> dict[str, Any]:
    data = {"amount": "1250", "currency": "chf", "payment_method": method} | fields
    answer = post(sandbox, key, "/v1/payment_intents", data)
    assert answer.status_code == 200, answer.text
    return answer.json()


def paid(sandbox: SandboxProcess, key: str, method: str = "pm_card_visa") -> dict[str, Any]:
    created = intent(sandbox, key, method)
    answer = post(sandbox, key, f"/v1/payment_intents/{created['id']}/confirm")
    assert answer.status_code == 200, answer.text
    return answer.json()
