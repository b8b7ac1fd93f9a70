"""Payments over HTTP, as an organization's back office calls them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from engine import ids
from engine.tenancy.context import OrganizationContext
from tests.devkit.sandbox.server import SandboxProcess
from tests.factories import access
from tests.factories import payments as make
from tests.tenants.payments.conftest import Shop


@pytest.fixture
def owner(http_a: APIClient, org_a: OrganizationContext) -> APIClient:
    return access.signed_in(http_a, access.member(org_a).token)


def _post(client: APIClient, path: str, body: Any, *, key: str | None = None, status: int = 201) -> dict[str, Any]:
    headers = {"Idempotency-Key": key or str(uuid4())}
    answer = client.post(f"/v1/{path}", body, format="json", headers=headers)
    assert answer.status_code == status, answer.content
    return answer.json()


def _get(client: APIClient, path: str, **query: str) -> dict[str, Any]:
    answer = client.get(f"/v1/{path}", query)
    assert answer.status_code == 200, answer.content
    return answer.json()


@pytest.fixture
def order(shop: Shop) -> dict[str, Any]:
    method = make.payment_method(shop.accounts)
    return {"person": ids.encode("per", method.person_id), "amount_minor": 1250, "currency": "CHF"}


def test_the_whole_story(owner: APIClient, sandbox: SandboxProcess, in_org_a: OrganizationContext) -> None:
    key = sandbox.new_key()
    account = _post(
        owner,
        "provider-accounts",
        {"name": "main", "provider": "stripe", "secret_key": key, "base_url": sandbox.url},
    )
    assert not {"secret_key", "credentials", "webhook_secrets"} & set(account)
    assert key not in str(_get(owner, "provider-accounts"))
    person = ids.encode("per", make.person_id())
    tokens = [{"provider_account": account["id"], "token": "pm_card_visa"}]
    method = _post(owner, "payment-methods", {"person": person, "tokens": tokens, "last4": "4242"})
    assert "pm_card_visa" not in str(method)
    body = {"person": person, "amount_minor": 1250, "currency": "CHF", "capture_method": "manual"}
    payment = _post(owner, "payments", body)
    assert (payment["status"], payment["payment_method"]) == ("authorized", method["id"])
    path = f"payments/{payment['id']}"
    captured = _post(owner, f"{path}/capture", {"amount_minor": 1000}, status=200)
    assert (captured["status"], captured["captured_minor"]) == ("captured", 1000)
    refund = _post(owner, f"{path}/refunds", {"amount_minor": 400, "reason": "too cold"})
    assert (refund["status"], refund["amount_minor"]) == ("succeeded", 400)
    assert _get(owner, path)["refunded_minor"] == 400
    assert [row["id"] for row in _get(owner, f"{path}/refunds")["data"]] == [refund["id"]]
    assert [row["id"] for row in _get(owner, "payments", person=person)["data"]] == [payment["id"]]
    assert _get(owner, "payments", person=person, status="failed")["data"] == []
    entries = _get(owner, "ledger/entries", payment=payment["id"])["data"]
    assert [(row["kind"], row["reason"], row["amount_minor"], row["voided_minor"]) for row in reversed(entries)] == [
        ("pending", "authorization", 1250, 0),
        ("post", "capture", 1000, 250),
        ("posted", "refund", 400, 0),
    ]
    balances = {row["kind"]: row["balance"] for row in _get(owner, "ledger/accounts")["data"]}
    assert balances["provider"] == {
        "debits_posted_minor": 1000,
        "credits_posted_minor": 400,
        "debits_pending_minor": 0,
        "credits_pending_minor": 0,
    }
    detached = _post(owner, f"payment-methods/{method['id']}/detach", {}, status=200)
    assert detached["status"] == "detached"
    refused = _post(owner, "payments", body, status=400)
    assert refused["code"] == "no_payment_method"


class TestIdempotency:
    def test_a_repeated_payment_is_answered_and_not_charged_again(
        self, owner: APIClient, shop: Shop, order: dict[str, Any]
    ) -> None:
        first = _post(owner, "payments", order, key="k-1")
        assert _post(owner, "payments", order, key="k-1") == first
        assert shop.charges() == [("a", 1250)]

    def test_a_repeated_refund_is_one_refund(self, owner: APIClient, shop: Shop, order: dict[str, Any]) -> None:
        payment = _post(owner, "payments", order)
        path = f"payments/{payment['id']}/refunds"
        first = _post(owner, path, {"amount_minor": 100}, key="k-2")
        assert _post(owner, path, {"amount_minor": 100}, key="k-2") == first
        assert _post(owner, path, {"amount_minor": 101}, key="k-2", status=422)["code"] == "idempotency_key_reused"
        assert shop.effects() == [("charge", 1250), ("refund", 100)]

    @pytest.mark.parametrize(
        "path", ["payments", "payments/{id}/capture", "payments/{id}/void", "payments/{id}/refunds"]
    )
    def test_what_moves_money_needs_a_key(self, owner: APIClient, shop: Shop, order: dict[str, Any], path: str) -> None:
        path = path.format(id=shop.pay(capture_method="manual").public_id)
        answer = owner.post(f"/v1/{path}", order, format="json")
        assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_required")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount_minor": -1}, "amount_minor"),
        ({"amount_minor": 0}, "amount_minor"),
        ({"amount_minor": 12.5}, "amount_minor"),
        ({"amount_minor": "1250"}, "amount_minor"),
        ({"amount_minor": True}, "amount_minor"),
        ({"amount_minor": None}, "amount_minor"),
        ({"amount_minor": 10**12 + 1}, "amount_minor"),
        ({"amount_minor": 10**40}, "amount_minor"),
        ({"currency": "chf"}, "currency"),
        ({"currency": "XXX"}, "currency"),
        ({"currency": 756}, "currency"),
        ({"person": "per_nobody"}, "person"),
        ({"person": "pay_01h455vb4pex5vsknk084sn02q"}, "person"),
        ({"payment_method": "pm_01h455vb4pex5vsknk084sn02q"}, "payment_method"),
        ({"capture_method": "later"}, "capture_method"),
        ({"colour": "red"}, "colour"),
        ({"reference": "x" * 101}, "reference"),
        ({"description": "a\u0000b"}, "description"),
    ],
)
def test_bad_input_names_the_field(
    owner: APIClient, shop: Shop, order: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    problem = _post(owner, "payments", order | change, status=400)
    assert field in {error["field"] for error in problem["errors"]}
    assert shop.effects() == []


@pytest.mark.parametrize("raw", [b'{"amount_minor": NaN}', b'{"amount_minor": 1e999}', b"{", b"[]", b'"x"'])
def test_broken_json_is_a_problem(owner: APIClient, raw: bytes) -> None:
    answer = owner.post("/v1/payments", raw, content_type="application/json", headers={"Idempotency-Key": str(uuid4())})
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("capture", {"amount_minor": 1251}, "amount_minor"),
        ("capture", {"amount_minor": -1}, "amount_minor"),
        ("void", {"why": "not"}, "why"),
    ],
)
def test_bad_commands_name_the_field(owner: APIClient, shop: Shop, path: str, body: Any, field: str) -> None:
    payment = shop.pay(capture_method="manual")
    problem = _post(owner, f"payments/{payment.public_id}/{path}", body, status=400)
    assert field in {error["field"] for error in problem["errors"]}


def test_a_payment_in_another_state_is_409(owner: APIClient, shop: Shop) -> None:
    payment = shop.pay()
    problem = _post(owner, f"payments/{payment.public_id}/capture", {}, status=409)
    assert (problem["code"], problem["payment_status"]) == ("payment_state_conflict", "captured")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"provider": "piggybank"}, "provider"),
        ({"base_url": "http://10.0.0.1"}, "base_url"),
        ({"base_url": "http://169.254.169.254/latest"}, "base_url"),
        ({"base_url": "https://stripe.example"}, "base_url"),
        ({"base_url": "http://127.0.0.1:x"}, "base_url"),
        ({"secret_key": ""}, "secret_key"),
        ({"priority": -1}, "priority"),
        ({"webhook_secrets": "whsec"}, "webhook_secrets"),
    ],
)
def test_bad_provider_accounts_name_the_field(owner: APIClient, change: dict[str, Any], field: str) -> None:
    body = {"name": "x", "provider": "stripe", "secret_key": "sk_test_12345678"} | change
    problem = _post(owner, "provider-accounts", body, status=400)
    assert field in {error["field"] for error in problem["errors"]}


def test_an_account_is_the_providers_own_unless_told(owner: APIClient) -> None:
    body = {"name": "x", "provider": "stripe", "secret_key": "sk_test_12345678"}
    account = _post(owner, "provider-accounts", body)
    assert account["base_url"] == "https://api.stripe.com"
    assert _post(owner, "provider-accounts", body, status=409)["code"] == "provider_account_name_taken"
    path = f"/v1/provider-accounts/{account['id']}"
    changed = owner.patch(path, {"status": "disabled", "priority": 3}, format="json").json()
    assert (changed["status"], changed["priority"]) == ("disabled", 3)
    assert _get(owner, path.removeprefix("/v1/"))["webhook_url"].startswith("http://hooks.keystead.test/stripe/org_")


def test_a_payment_method_needs_a_person_and_accounts_of_this_organization(owner: APIClient, shop: Shop) -> None:
    token = {"provider_account": shop.accounts[0].public_id, "token": "pm_card_visa"}
    nobody = ids.encode("per", uuid4())
    problem = _post(owner, "payment-methods", {"person": nobody, "tokens": [token]}, status=400)
    assert problem["errors"][0]["field"] == "person"
    person = ids.encode("per", make.person_id())
    stranger = token | {"provider_account": ids.encode("pacc", uuid4())}
    problem = _post(owner, "payment-methods", {"person": person, "tokens": [token, stranger]}, status=400)
    assert problem["errors"][0]["field"] == "tokens.1.provider_account"
    problem = _post(owner, "payment-methods", {"person": person, "tokens": []}, status=400)
    assert problem["errors"][0]["field"] == "tokens"


def test_another_organization_sees_nothing(shop: Shop, org_b: OrganizationContext, http_b: APIClient) -> None:
    payment = shop.pay()
    stranger = access.signed_in(http_b, access.member(org_b).token)
    assert stranger.get(f"/v1/payments/{payment.public_id}").status_code == 404
    assert stranger.get("/v1/payments").json()["data"] == []


@pytest.mark.parametrize(("role", "status"), [("auditor", 403), ("admin", 403), ("owner", 201)])
def test_who_may_charge(
    http_a: APIClient, org_a: OrganizationContext, order: dict[str, Any], role: str, status: int
) -> None:
    client = access.signed_in(http_a, access.member(org_a, role).token)
    _post(client, "payments", order, status=status)
