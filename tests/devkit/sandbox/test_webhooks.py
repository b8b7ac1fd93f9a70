from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import stripe

from devkit.sandbox.webhooks import on_loopback
from tests.devkit.sandbox.client import paid, post
from tests.devkit.sandbox.receiver import receiving
from tests.devkit.sandbox.server import SandboxProcess, running_sandbox


def _endpoint(sandbox: SandboxProcess, key: str, url: str, *events: str) -> dict[str, Any]:
    data = {"url": url} | {f"enabled_events[{n}]": name for n, name in enumerate(events or ("*",))}
    return post(sandbox, key, "/v1/webhook_endpoints", data).json()


def test_deliveries_are_signed_as_the_providers_own_library_checks(sandbox: SandboxProcess, key: str) -> None:
    with receiving() as receiver:
        secret = _endpoint(sandbox, key, receiver.url)["secret"]
        done = paid(sandbox, key)
        deliveries = receiver.wait(3)
        for payload, header in deliveries:
            stripe.Webhook.construct_event(payload, header, secret)
            with pytest.raises(stripe.SignatureVerificationError):
                stripe.Webhook.construct_event(payload + b" ", header, secret)
        bodies = [json.loads(payload) for payload, _ in deliveries]
        assert {body["type"] for body in bodies} == {
            "payment_intent.created", "charge.succeeded", "payment_intent.succeeded",
        }  # fmt: skip
        succeeded = next(body for body in bodies if body["type"] == "payment_intent.succeeded")
        assert succeeded["data"]["object"]["id"] == done["id"]


def test_a_failed_delivery_is_tried_again_with_the_same_event(sandbox: SandboxProcess, key: str) -> None:
    with receiving() as receiver:
        receiver.statuses = [500, 302]
        _endpoint(sandbox, key, receiver.url, "payment_intent.succeeded")
        paid(sandbox, key)
        deliveries = receiver.wait(3)
        assert len({json.loads(payload)["id"] for payload, _ in deliveries}) == 1


def test_an_endpoint_gets_the_types_that_it_asked_for_only(sandbox: SandboxProcess, key: str) -> None:
    with receiving() as receiver:
        _endpoint(sandbox, key, receiver.url, "charge.succeeded")
        paid(sandbox, key)
        paid(sandbox, key)
        types = [json.loads(payload)["type"] for payload, _ in receiver.wait(2)]
        assert types == ["charge.succeeded"] * 2


def test_a_kill_loses_no_delivery(tmp_path: Path) -> None:
    with running_sandbox(tmp_path) as sandbox, receiving() as receiver:
        key = sandbox.new_key()
        _endpoint(sandbox, key, receiver.url, "payment_intent.succeeded")
        sandbox.set(webhook_delay_s=1)
        paid(sandbox, key)
        sandbox.stop(signal.SIGKILL)
        assert receiver.received == []
        sandbox.start()
        assert receiver.wait(1)


def test_names_under_localhost_are_on_loopback() -> None:
    assert on_loopback("http://hooks.localhost:8000/x") == (
        "http://127.0.0.1:8000/x",
        "hooks.localhost:8000",
    )
    assert on_loopback("https://example.com/x") == ("https://example.com/x", "example.com")
