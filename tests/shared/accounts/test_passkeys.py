"""Passkeys over HTTP, with an authenticator in software."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from rest_framework.test import APIClient

from engine.clock import utc_now
from engine.tenancy.context import OrganizationContext, organization
from shared.accounts import second_factors
from shared.accounts.models import Ceremony, Passkey, Session, User
from tests.conftest import client_of
from tests.factories import access, operators
from tests.factories.passkeys import Authenticator

pytestmark = pytest.mark.usefixtures("db")


class Person:
    """A member with a phone."""

    def __init__(self, org: OrganizationContext) -> None:
        self.org, self.phone = org, Authenticator()
        self.member = access.member(org)
        self.client = access.signed_in(client_of(org), self.member.token)

    def add(self, **more: Any) -> Any:
        begun = self.client.post("/v1/passkeys/options").json()
        credential = self.phone.create(begun["public_key"], **{"origin": self.org.issuer, **more})
        body = {"ceremony_token": begun["ceremony_token"], "name": "phone", "credential": credential}
        return self.client.post("/v1/passkeys", body, format="json")

    def begin(self, body: dict[str, str] | None = None, *, client: APIClient | None = None) -> dict[str, Any]:
        answer = (client or client_of(self.org)).post("/v1/sessions/passkey/options", body or {})
        assert answer.status_code == 200, answer.content
        return dict(answer.json())

    def show(self, begun: dict[str, Any], credential: dict[str, Any] | None = None, **more: Any) -> Any:
        credential = credential or self.phone.get(begun["public_key"], **{"origin": self.org.issuer, **more})
        body = {"ceremony_token": begun["ceremony_token"], "credential": credential}
        return client_of(self.org).post("/v1/sessions/passkey", body, format="json")


@pytest.fixture
def ada(org_a: OrganizationContext) -> Person:
    person = Person(org_a)
    answer = person.add()
    assert answer.status_code == 200, answer.content
    return person


class TestSigningIn:
    def test_without_a_password(self, ada: Person) -> None:
        begun = ada.begin()
        assert begun["public_key"]["rpId"] == "org-a.keystead.test"
        assert begun["public_key"]["allowCredentials"] == []
        answer = ada.show(begun)
        assert answer.status_code == 201, answer.content
        assert answer.json()["methods"] == ["hwk"]
        assert answer.json()["mfa_at"] is not None
        assert "__Host-keystead-device" in answer.cookies
        me = access.signed_in(client_of(ada.org), answer.json()["token"]).get("/v1/me").json()
        assert me["id"] == ada.member.principal.public_id

    def test_beside_one(self, ada: Person) -> None:
        ada.phone.verifies = False
        given = {"email": ada.member.email, "password": access.PASSWORD}
        asked = client_of(ada.org).post("/v1/sessions", given).json()
        assert asked["methods"] == ["passkey"]
        token = {"sign_in_token": asked["sign_in_token"]}
        answer = ada.show(ada.begin(token))
        assert answer.json()["methods"] == ["hwk", "pwd"]
        over = client_of(ada.org).post("/v1/sessions/passkey/options", token)
        assert over.json()["code"] == "sign_in_expired"

    def test_an_authenticator_that_asks_nobody_is_no_substitute_for_a_password(self, ada: Person) -> None:
        ada.phone.verifies = False
        assert ada.show(ada.begin()).json()["code"] == "passkey_refused"

    def test_the_same_answer_is_good_once(self, ada: Person) -> None:
        begun = ada.begin()
        credential = ada.phone.get(begun["public_key"], origin=ada.org.issuer)
        assert ada.show(begun, credential).status_code == 201
        assert ada.show(begun, credential).json()["code"] == "sign_in_expired"
        assert ada.show(ada.begin(), credential).json()["code"] == "passkey_refused"

    def test_is_over_after_five_minutes(self, ada: Person) -> None:
        begun = ada.begin()
        with organization(ada.org):
            Ceremony.objects.update(expires_at=utc_now())
        assert ada.show(begun).json()["code"] == "sign_in_expired"

    @pytest.mark.parametrize(
        "origin",
        ["http://keystead.test", "http://org-b.keystead.test", "https://org-a.keystead.test", "http://evil.example"],
    )
    def test_another_origin_is_refused(self, ada: Person, origin: str) -> None:
        assert ada.show(ada.begin(), origin=origin).json()["code"] == "passkey_refused"

    @pytest.mark.parametrize("part", ["signature", "authenticatorData", "clientDataJSON", "userHandle"])
    def test_what_was_changed_is_refused(self, ada: Person, part: str) -> None:
        begun = ada.begin()
        credential = ada.phone.get(begun["public_key"], origin=ada.org.issuer)
        raw = bytearray(base64.urlsafe_b64decode(credential["response"][part] + "=="))
        raw[-1] ^= 1
        credential["response"][part] = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        assert ada.show(begun, credential).json()["code"] == "passkey_refused"

    def test_a_count_that_went_back_is_refused(self, ada: Person) -> None:
        assert ada.show(ada.begin()).status_code == 201
        ada.phone.credentials[0].count = 0
        assert ada.show(ada.begin()).json()["code"] == "passkey_refused"

    def test_who_was_deactivated_stays_out(self, ada: Person) -> None:
        begun = ada.begin()
        with organization(ada.org):
            User.objects.filter(id=ada.member.principal.id).update(is_active=False)
        assert ada.show(begun).json()["code"] == "passkey_refused"

    def test_anothers_passkey_is_no_second_factor(self, ada: Person, org_a: OrganizationContext) -> None:
        eve = Person(org_a)
        eve.add()
        asked = client_of(org_a).post("/v1/sessions", {"email": ada.member.email, "password": access.PASSWORD})
        begun = ada.begin({"sign_in_token": asked.json()["sign_in_token"]})
        stolen = {**begun, "public_key": {**begun["public_key"], "allowCredentials": []}}
        credential = eve.phone.get(stolen["public_key"], origin=org_a.issuer)
        assert ada.show(begun, credential).json()["code"] == "passkey_refused"

    @pytest.mark.parametrize(
        "credential", [{}, {"id": "%%%"}, {"id": "AAAA", "response": 7}, {"id": 5, "response": {"userHandle": []}}]
    )
    def test_nonsense_is_refused(self, ada: Person, credential: dict[str, Any]) -> None:
        assert ada.show(ada.begin(), {"x": 1, **credential}).json()["code"] == "passkey_refused"

    def test_an_operator_signs_in_at_the_platform(self) -> None:
        operator, phone = operators.operator(), Authenticator()
        origin = f"http://{settings.PLATFORM_HOST}"
        begun = operator.client().post("/v1/passkeys/options").json()
        body = {"name": "key", "ceremony_token": begun["ceremony_token"]}
        body["credential"] = phone.create(begun["public_key"], origin=origin)
        assert operator.client().post("/v1/passkeys", body, format="json").status_code == 200
        asked = operators.platform_client().post("/v1/sessions/passkey/options", {}).json()
        assert asked["public_key"]["rpId"] == settings.PLATFORM_HOST
        shown = {"ceremony_token": asked["ceremony_token"], "credential": phone.get(asked["public_key"], origin=origin)}
        answer = operators.platform_client().post("/v1/sessions/passkey", shown, format="json")
        assert answer.status_code == 201


class TestAnotherOrganization:
    def test_offers_nothing_and_takes_nothing(self, ada: Person, org_b: OrganizationContext) -> None:
        bob = Person(org_b)
        begun = bob.begin()
        with pytest.raises(LookupError):
            ada.phone.get(begun["public_key"], origin=org_b.issuer)
        forced = ada.phone.get(begun["public_key"], origin=org_b.issuer, rp_id="org-a.keystead.test")
        assert bob.show(begun, forced).json()["code"] == "passkey_refused"
        hers = ada.begin()
        credential = ada.phone.get(hers["public_key"], origin=ada.org.issuer)
        assert bob.show(hers, credential).json()["code"] == "sign_in_expired"

    def test_planted_a_shared_rp_id_would_be_noticed(
        self, org_a: OrganizationContext, org_b: OrganizationContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from shared.accounts import passkeys

        monkeypatch.setattr(passkeys, "_relying_party", lambda: ("keystead.test", "everybody"))
        ada, bob = Person(org_a), Person(org_b)
        ada.add()
        begun = bob.begin()
        assert ada.phone.get(begun["public_key"], origin=org_b.issuer)


class TestKeeping:
    def test_lists_and_removes_one_s_own(self, ada: Person, org_a: OrganizationContext) -> None:
        (row,) = ada.client.get("/v1/passkeys").json()["data"]
        assert (row["name"], row["last_used_at"]) == ("phone", None)
        eve = Person(org_a)
        assert eve.client.get("/v1/passkeys").json()["data"] == []
        assert eve.client.delete(f"/v1/passkeys/{row['id']}").status_code == 404
        assert ada.client.delete(f"/v1/passkeys/{row['id']}").status_code == 204
        assert ada.show(ada.begin()).json()["code"] == "passkey_refused"

    def test_the_list_costs_the_same_however_long_it_is(
        self, ada: Person, known_host: None, django_assert_max_num_queries: Any
    ) -> None:
        for _ in range(3):
            assert ada.add().status_code == 200
        with django_assert_max_num_queries(5):
            assert len(ada.client.get("/v1/passkeys").json()["data"]) == 4

    def test_adding_and_removing_ask_who_it_is(self, ada: Person) -> None:
        (row,) = ada.client.get("/v1/passkeys").json()["data"]
        with organization(ada.org):
            Session.objects.update(mfa_at=utc_now() - second_factors.FRESH - timedelta(seconds=1))
        for answer in (ada.client.post("/v1/passkeys/options"), ada.client.delete(f"/v1/passkeys/{row['id']}")):
            assert answer.json()["code"] == "step_up_required"
            assert answer.json()["step_up"] == ["passkey"]

        begun = ada.client.post("/v1/sessions/current/passkey/options").json()
        credential = ada.phone.get(begun["public_key"], origin=ada.org.issuer)
        elsewhere = {"ceremony_token": begun["ceremony_token"], "credential": credential}
        signed_in = client_of(ada.org).post("/v1/sessions/passkey", elsewhere, format="json")
        assert signed_in.json()["code"] == "sign_in_expired"
        shown = ada.client.post("/v1/sessions/current/passkey", elsewhere, format="json")
        assert shown.status_code == 200, shown.content
        assert ada.client.post("/v1/passkeys/options").status_code == 200

    def test_one_made_for_another_host_is_not_kept(self, ada: Person) -> None:
        for wrong in ({"origin": "http://evil.example"}, {"rp_id": "keystead.test"}):
            assert ada.add(**wrong).json()["code"] == "passkey_refused"
        with organization(ada.org):
            assert Passkey.objects.count() == 1

    def test_a_session_s_ceremony_is_not_another_s(self, ada: Person) -> None:
        begun = ada.client.post("/v1/passkeys/options").json()
        credential = ada.phone.create(begun["public_key"], origin=ada.org.issuer)
        other = access.signed_in(client_of(ada.org), ada.show(ada.begin()).json()["token"])
        body = {"ceremony_token": begun["ceremony_token"], "name": "mine", "credential": credential}
        answer = other.post("/v1/passkeys", json.dumps(body), content_type="application/json")
        assert answer.json()["code"] == "sign_in_expired"
