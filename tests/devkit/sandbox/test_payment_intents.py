from __future__ import annotations

import concurrent.futures
import signal
import time
from pathlib import Path

import httpx2
import pytest

from tests.devkit.sandbox.client import get, intent, paid, post
from tests.devkit.sandbox.server import SandboxProcess, running_sandbox


def test_an_intent_is_made_without_effect_and_charged_by_its_confirmation(sandbox: SandboxProcess, key: str) -> None:
    created = intent(sandbox, key)
    assert created["status"] == "requires_confirmation"
    assert sandbox.effects(key) == []
    confirmed = post(sandbox, key, f"/v1/payment_intents/{created['id']}/confirm").json()
    assert (confirmed["status"], confirmed["amount_received"]) == ("succeeded", 1250)
    assert [(row["kind"], row["amount"]) for row in sandbox.effects(key)] == [("charge", 1250)]


def test_manual_capture_reserves_then_takes_part_and_releases_the_rest(sandbox: SandboxProcess, key: str) -> None:
    created = intent(sandbox, key, capture_method="manual")
    path = f"/v1/payment_intents/{created['id']}"
    held = post(sandbox, key, f"{path}/confirm").json()
    assert (held["status"], held["amount_capturable"]) == ("requires_capture", 1250)
    too_much = post(sandbox, key, f"{path}/capture", {"amount_to_capture": "1251"})
    assert too_much.status_code == 400
    taken = post(sandbox, key, f"{path}/capture", {"amount_to_capture": "1000"}).json()
    assert (taken["status"], taken["amount_received"]) == ("succeeded", 1000)
    effects = [(row["kind"], row["amount"]) for row in sandbox.effects(key)]
    assert effects == [("authorization", 1250), ("charge", 1000), ("release", 250)]
    again = post(sandbox, key, f"{path}/capture")
    assert again.json()["error"]["code"] == "payment_intent_unexpected_state"


def test_a_cancelled_intent_can_never_be_charged(sandbox: SandboxProcess, key: str) -> None:
    created = intent(sandbox, key)
    path = f"/v1/payment_intents/{created['id']}"
    assert post(sandbox, key, f"{path}/cancel").json()["status"] == "canceled"
    refused = post(sandbox, key, f"{path}/confirm")
    assert refused.status_code == 400
    assert refused.json()["error"]["payment_intent"]["status"] == "canceled"
    assert sandbox.effects(key) == []


@pytest.mark.parametrize(
    ("method", "code", "decline"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_authenticationRequired", "authentication_required", None),
    ],
)
def test_a_declined_card_is_402_and_the_refusal_is_kept(
    sandbox: SandboxProcess, key: str, method: str, code: str, decline: str | None
) -> None:
    created = intent(sandbox, key, method)
    answer = post(sandbox, key, f"/v1/payment_intents/{created['id']}/confirm")
    error = answer.json()["error"]
    assert answer.status_code == 402
    assert (error["type"], error["code"], error.get("decline_code")) == (
        "card_error",
        code,
        decline,
    )
    now = get(sandbox, key, f"/v1/payment_intents/{created['id']}").json()
    assert (now["status"], now["last_payment_error"]["code"]) == ("requires_payment_method", code)
    assert sandbox.effects(key) == []


def test_an_account_can_refuse_everything(sandbox: SandboxProcess, key: str) -> None:
    sandbox.behave(key, {"kind": "decline", "decline_code": "do_not_honor"})
    created = intent(sandbox, key)
    answer = post(sandbox, key, f"/v1/payment_intents/{created['id']}/confirm")
    assert answer.json()["error"]["decline_code"] == "do_not_honor"
    assert sandbox.effects(key) == []


class TestIdempotencyKeys:
    def test_the_same_request_is_answered_from_memory(self, sandbox: SandboxProcess, key: str) -> None:
        data = {
            "amount": "500",
            "currency": "chf",
            "payment_method": "pm_card_visa",
            "confirm": "true",
        }
        first = post(sandbox, key, "/v1/payment_intents", data, idempotency_key="k1")
        second = post(sandbox, key, "/v1/payment_intents", data, idempotency_key="k1")
        assert first.content == second.content
        assert second.headers["idempotent-replayed"] == "true"
        assert second.headers["original-request"] == first.headers["request-id"]
        assert len(sandbox.charges(key)) == 1

    def test_another_request_under_the_same_key_is_an_idempotency_error(
        self, sandbox: SandboxProcess, key: str
    ) -> None:
        created = intent(sandbox, key)
        path = f"/v1/payment_intents/{created['id']}/confirm"
        post(sandbox, key, path, idempotency_key="k")
        other = post(sandbox, key, path, {"off_session": "true"}, idempotency_key="k")
        assert other.status_code == 400
        assert other.json()["error"]["type"] == "idempotency_error"

    def test_a_refusal_is_replayed(self, sandbox: SandboxProcess, key: str) -> None:
        created = intent(sandbox, key, "pm_card_visa_chargeDeclined")
        path = f"/v1/payment_intents/{created['id']}/confirm"
        answers = [post(sandbox, key, path, idempotency_key="k") for _ in range(2)]
        assert [answer.status_code for answer in answers] == [402, 402]
        assert answers[0].content == answers[1].content

    def test_concurrent_requests_under_one_key_conflict(self, sandbox: SandboxProcess, key: str) -> None:
        created = intent(sandbox, key, "pm_sandbox_slow")
        path = f"/v1/payment_intents/{created['id']}/confirm"
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            first = pool.submit(post, sandbox, key, path, idempotency_key="k")
            time.sleep(0.5)
            second = post(sandbox, key, path, idempotency_key="k")
            assert second.status_code == 409
            assert second.json()["error"]["code"] == "idempotency_key_in_use"
            assert first.result().status_code == 200
        assert len(sandbox.charges(key)) == 1

    def test_keys_belong_to_an_account(self, sandbox: SandboxProcess, key: str) -> None:
        other = sandbox.new_key()
        data = {"amount": "500", "currency": "chf"}
        first = post(sandbox, key, "/v1/payment_intents", data, idempotency_key="k")
        second = post(sandbox, other, "/v1/payment_intents", data, idempotency_key="k")
        assert first.json()["id"] != second.json()["id"]
        assert get(sandbox, other, f"/v1/payment_intents/{first.json()['id']}").status_code == 404


class TestFaults:
    @pytest.mark.parametrize(
        ("method", "effects"),
        [("pm_sandbox_dropBeforeEffect", 0), ("pm_sandbox_dropAfterEffect", 1)],
    )
    def test_a_cut_connection_says_nothing_and_a_repeat_tells(
        self, sandbox: SandboxProcess, key: str, method: str, effects: int
    ) -> None:
        created = intent(sandbox, key, method)
        path = f"/v1/payment_intents/{created['id']}/confirm"
        with pytest.raises(httpx2.RemoteProtocolError):
            post(sandbox, key, path, idempotency_key="k")
        assert len(sandbox.charges(key)) == effects
        sandbox.behave(key)
        repeated = post(sandbox, key, path, idempotency_key="k")
        if effects:
            assert repeated.json()["status"] == "succeeded"
            assert len(sandbox.charges(key)) == 1

    @pytest.mark.parametrize(
        ("method", "effects"),
        [("pm_sandbox_errorBeforeEffect", 0), ("pm_sandbox_errorAfterEffect", 1)],
    )
    def test_a_stored_500_hides_whether_it_happened(
        self, sandbox: SandboxProcess, key: str, method: str, effects: int
    ) -> None:
        created = intent(sandbox, key, method)
        path = f"/v1/payment_intents/{created['id']}/confirm"
        answers = [post(sandbox, key, path, idempotency_key="k") for _ in range(2)]
        assert [answer.status_code for answer in answers] == [500, 500]
        assert len(sandbox.charges(key)) == effects
        status = get(sandbox, key, f"/v1/payment_intents/{created['id']}").json()["status"]
        assert status == ("succeeded" if effects else "requires_confirmation")

    def test_account_faults_wear_off(self, sandbox: SandboxProcess, key: str) -> None:
        sandbox.behave(key, {"kind": "throttled", "operation": "payment_intents.create", "times": 2})
        data = {"amount": "500", "currency": "chf"}
        statuses = [post(sandbox, key, "/v1/payment_intents", data).status_code for _ in range(3)]
        assert statuses == [429, 429, 200]

    @pytest.mark.parametrize(("kind", "status"), [("revoked", 401), ("forbidden", 403), ("unavailable", 503)])
    def test_faults_of_the_edge_touch_nothing(self, sandbox: SandboxProcess, key: str, kind: str, status: int) -> None:
        created = intent(sandbox, key)
        sandbox.behave(key, {"kind": kind})
        path = f"/v1/payment_intents/{created['id']}/confirm"
        assert post(sandbox, key, path, idempotency_key="k").status_code == status
        sandbox.behave(key)
        assert post(sandbox, key, path, idempotency_key="k").json()["status"] == "succeeded"

    def test_an_unknown_fault_is_refused(self, sandbox: SandboxProcess, key: str) -> None:
        answer = sandbox.http.put(f"/_control/accounts/{key}/faults", json={"faults": [{"kind": "sulk"}]})
        assert answer.status_code == 400


class TestSearch:
    def test_it_lags_behind_so_that_not_found_proves_nothing(self, sandbox: SandboxProcess, key: str) -> None:
        sandbox.set(search_lag_s=3600)
        created = intent(sandbox, key, **{"metadata[payment]": "pay_1"})
        query = "metadata['payment']:'pay_1'"
        assert get(sandbox, key, "/v1/payment_intents/search", query=query).json()["data"] == []
        sandbox.set(search_lag_s=0)
        found = get(sandbox, key, "/v1/payment_intents/search", query=query).json()
        assert [row["id"] for row in found["data"]] == [created["id"]]
        nobody = get(sandbox, key, "/v1/payment_intents/search", query="metadata['payment']:'pay_2'")
        assert nobody.json()["data"] == []


class TestRefunds:
    def test_part_by_part_until_nothing_is_left(self, sandbox: SandboxProcess, key: str) -> None:
        done = paid(sandbox, key)
        data = {"payment_intent": done["id"], "amount": "1000"}
        assert post(sandbox, key, "/v1/refunds", data).json()["status"] == "succeeded"
        assert post(sandbox, key, "/v1/refunds", data).status_code == 400
        rest = post(sandbox, key, "/v1/refunds", {"payment_intent": done["id"]}).json()
        assert rest["amount"] == 250
        nothing = post(sandbox, key, "/v1/refunds", {"payment_intent": done["id"]})
        assert nothing.json()["error"]["code"] == "charge_already_refunded"
        charge = get(sandbox, key, f"/v1/charges/{done['latest_charge']}").json()
        assert (charge["amount_refunded"], charge["refunded"]) == (1250, True)

    @pytest.mark.parametrize(
        ("method", "at_first", "at_last"),
        [
            ("pm_card_pendingRefund", "pending", "succeeded"),
            ("pm_card_refundFail", "succeeded", "failed"),
        ],
    )
    def test_some_are_decided_later(
        self, sandbox: SandboxProcess, key: str, method: str, at_first: str, at_last: str
    ) -> None:
        sandbox.set(refund_settles_s=0.1)
        done = paid(sandbox, key, method)
        refund = post(sandbox, key, "/v1/refunds", {"payment_intent": done["id"]}).json()
        assert refund["status"] == at_first
        deadline = time.monotonic() + 10
        while get(sandbox, key, f"/v1/refunds/{refund['id']}").json()["status"] != at_last:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("data", "param"),
    [
        ({"currency": "chf"}, "amount"),
        ({"amount": "-5", "currency": "chf"}, "amount"),
        ({"amount": "1e5", "currency": "chf"}, "amount"),
        ({"amount": "9" * 40, "currency": "chf"}, "amount"),
        ({"amount": "10", "currency": "chf"}, "amount"),
        ({"amount": "500", "currency": "francs"}, "currency"),
        ({"amount": "500", "currency": "chf", "colour": "red"}, "colour"),
        ({"amount": "500", "currency": "chf", "payment_method": "pm_nobody"}, "payment_method"),
        ({"amount": "500", "currency": "chf", "capture_method": "never"}, "capture_method"),
    ],
)
def test_bad_parameters_are_named(sandbox: SandboxProcess, key: str, data: dict[str, str], param: str) -> None:
    answer = post(sandbox, key, "/v1/payment_intents", data)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer pk_live_1", "Basic !!!", "Digest sk_test_1"])
def test_no_secret_key_no_answer(sandbox: SandboxProcess, header: str) -> None:
    assert sandbox.http.get("/v1/charges", headers={"Authorization": header}).status_code == 401


def test_basic_authentication_is_the_same_account(sandbox: SandboxProcess, key: str) -> None:
    created = intent(sandbox, key)
    answer = sandbox.http.get(f"/v1/payment_intents/{created['id']}", auth=(key, ""))
    assert answer.json()["id"] == created["id"]


def test_a_payment_method_of_no_customer_is_charged_once_only(sandbox: SandboxProcess, key: str) -> None:
    method = post(sandbox, key, "/v1/payment_methods", {"type": "card", "card[token]": "tok_visa"}).json()
    paid(sandbox, key, method["id"])
    data = {"amount": "500", "currency": "chf", "payment_method": method["id"]}
    assert post(sandbox, key, "/v1/payment_intents", data).status_code == 400
    customer = post(sandbox, key, "/v1/customers", {"name": "Ada"}).json()
    kept = post(sandbox, key, "/v1/payment_methods", {"type": "card", "card[token]": "tok_visa"}).json()
    post(sandbox, key, f"/v1/payment_methods/{kept['id']}/attach", {"customer": customer["id"]})
    for _ in range(2):
        mine = data | {"payment_method": kept["id"], "customer": customer["id"], "confirm": "true"}
        assert post(sandbox, key, "/v1/payment_intents", mine).json()["status"] == "succeeded"


def test_a_kill_loses_neither_a_charge_nor_its_answer(tmp_path: Path) -> None:
    with running_sandbox(tmp_path) as sandbox:
        key = sandbox.new_key()
        data = {
            "amount": "500",
            "currency": "chf",
            "payment_method": "pm_card_visa",
            "confirm": "true",
        }
        first = post(sandbox, key, "/v1/payment_intents", data, idempotency_key="k")
        sandbox.stop(signal.SIGKILL)
        sandbox.start()
        second = post(sandbox, key, "/v1/payment_intents", data, idempotency_key="k")
        assert first.content == second.content
        assert len(sandbox.charges(key)) == 1


def test_a_pruned_key_charges_again(sandbox: SandboxProcess, key: str) -> None:
    """Why a request is never re-sent after the documented lifetime of its key."""
    data = {"amount": "500", "currency": "chf", "payment_method": "pm_card_visa", "confirm": "true"}
    post(sandbox, key, "/v1/payment_intents", data, idempotency_key="k")
    sandbox.http.post("/_control/keys/expire")
    post(sandbox, key, "/v1/payment_intents", data, idempotency_key="k")
    assert len(sandbox.charges(key)) == 2
