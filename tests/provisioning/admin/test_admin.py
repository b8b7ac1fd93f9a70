"""The operators' pages over HTTP: who gets in, where they answer, and that they write through services."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from engine.principals import SYSTEM
from engine.tenancy.context import OrganizationContext, public_schema
from provisioning.admin.site import COOKIE, site
from shared.operator_log.models import Act
from shared.operators import services
from shared.operators.rules import Role
from shared.organizations.models import Organization
from shared.plans.models import Plan
from tests.factories import operators
from tests.factories.access import PASSWORD
from tests.factories.operators import Operator

pytestmark = pytest.mark.usefixtures("db")


class Browser:
    """A client that keeps cookies and sends the token of each form, as a browser does."""

    def __init__(self, host: str = settings.PLATFORM_HOST) -> None:
        self.client = Client(enforce_csrf_checks=True, HTTP_HOST=host, raise_request_exception=True)

    def get(self, path: str) -> Any:
        return self.client.get(path)

    def post(self, page: str, form: dict[str, Any], *, to: str | None = None, follow: bool = True) -> Any:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.get(page).content.decode())
        assert token is not None, page
        return self.client.post(to or page, {**form, "csrfmiddlewaretoken": token[1]}, follow=follow)

    def sign_in(self, one: Operator, **changes: str) -> Any:
        form = {"email": one.email, "password": PASSWORD, "code": one.fresh_code(), **changes}
        return self.post("/admin/login/", form, follow=False)


def _signed_in(role: str) -> Browser:
    browser = Browser()
    answer = browser.sign_in(operators.operator(role))
    assert answer.status_code == 302, answer.content
    return browser


class TestSignIn:
    def test_the_cookie_is_the_hosts_alone_and_works(self) -> None:
        browser = Browser()
        answer = browser.sign_in(operators.operator(Role.SUPPORT))
        cookie = answer.cookies[COOKIE]
        assert COOKIE.startswith("__Host-")
        assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (
            True,
            True,
            "Strict",
            "/",
            "",
        )
        page = browser.get("/admin/")
        assert page.status_code == 200
        policy = page.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", page.content.decode()) == []

    @pytest.mark.parametrize("wrong", [{"password": "wrong horse battery"}, {"code": "000000"}, {"code": ""}])
    def test_password_and_code_are_both_needed(self, wrong: dict[str, str]) -> None:
        browser = Browser()
        answer = browser.sign_in(operators.operator(Role.ADMIN), **wrong)
        assert (answer.status_code, COOKIE in answer.cookies) == (200, False)
        assert browser.get("/admin/").headers["Location"].startswith("/admin/login/")

    def test_without_the_forms_token_nothing_is_done(self) -> None:
        form = {"email": "a@example.com", "password": PASSWORD, "code": "123456"}
        assert Browser().client.post("/admin/login/", form).status_code == 403
        admin = _signed_in(Role.ADMIN)
        assert admin.client.post("/admin/plans/plan/add/", {"code": "gold"}).status_code == 403

    def test_it_ends_with_the_session_and_with_the_account(self) -> None:
        operators.operator(Role.ADMIN)
        one, browser = operators.operator(Role.ADMIN), Browser()
        browser.sign_in(one)
        browser.post("/admin/", {}, to="/admin/logout/")
        assert browser.get("/admin/").status_code == 302
        browser.sign_in(one)
        assert browser.get("/admin/").status_code == 200
        with public_schema():
            services.disable(operator_id=one.principal.id, by=SYSTEM)
        assert browser.get("/admin/").status_code == 302

    @pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/"])
    def test_it_leads_nowhere_else(self, elsewhere: str) -> None:
        one, browser = operators.operator(Role.SUPPORT), Browser()
        form = {"email": one.email, "password": PASSWORD, "code": one.fresh_code()}
        answer = browser.post(f"/admin/login/?next={elsewhere}", form, follow=False)
        assert answer.headers["Location"] == "/admin/"

    def test_the_cookie_is_no_key_to_the_api(self) -> None:
        assert _signed_in(Role.ADMIN).get("/v1/organizations").status_code == 401


def test_it_answers_on_the_platforms_host_only(org_a: OrganizationContext) -> None:
    for host in (org_a.issuer.partition("://")[2], settings.HOOKS_HOST):
        for path in ("/admin", "/admin/", "/admin/login/"):
            assert Browser(host).get(path).status_code == 404, (host, path)


def test_every_page_opens_for_support_and_none_changes_anything(org_a: OrganizationContext) -> None:
    browser = _signed_in(Role.SUPPORT)
    body = {"slug": "harbour", "name": "Harbour", "plan": "standard", "admin_email": "ada@example.com"}
    operators.operator(Role.ADMIN).client().post("/v1/organizations", body)
    assert browser.get("/admin/fleet/").status_code == 200
    for model in site._registry:
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        listed = browser.get(path)
        assert listed.status_code == 200, path
        with public_schema():
            row = model._default_manager.first()
        if row is not None:
            shown = browser.get(f"{path}{row.pk}/change/")
            assert shown.status_code == 200, path
            assert 'name="_save"' not in shown.content.decode()
        for refused in ("add/", f"{row.pk if row else 'x'}/delete/"):
            assert browser.get(path + refused).status_code in {302, 403}, path + refused
        assert "<option" not in listed.content.decode().partition('name="action"')[2].partition("</select>")[0].replace(
            '<option value="" selected>', ""
        ), path


class TestAdmin:
    def test_suspends_with_a_reason_and_a_record(self, org_a: OrganizationContext) -> None:
        browser, page = _signed_in(Role.ADMIN), "/admin/organizations/organization/"
        chosen = {"action": "suspend", "_selected_action": str(org_a.id), "index": "0"}
        assert "Give a reason" in browser.post(page, chosen).content.decode()
        first = browser.post(page, {**chosen, "reason": "unpaid"}).content.decode()
        assert re.findall(r'<li class="[a-z]*">(.*?)</li>', first) == ["Org-a: done"]
        assert "not active" in browser.post(page, {**chosen, "reason": "unpaid"}).content.decode()
        with public_schema():
            assert Organization.objects.get(id=org_a.id).status == "suspended"
            act = Act.objects.get(action="organization.suspended")
            assert (act.organization_id, act.reason, act.actor_kind) == (org_a.id, "unpaid", "operator")

    def test_changes_a_plan_through_the_service(self) -> None:
        browser = _signed_in(Role.ADMIN)
        limits = {"requests_per_minute_max": 60, "people_max": 10, "devices_max": 5}
        browser.post("/admin/plans/plan/add/", {"code": "gold", "title": "Gold", **limits})
        with public_schema():
            plan = Plan.objects.get(code="gold")
        browser.post(
            f"/admin/plans/plan/{plan.pk}/change/", {"code": "other", "title": "Gold", **limits, "people_max": 11}
        )
        with public_schema():
            changed = Plan.objects.get(pk=plan.pk)
            assert (changed.code, changed.people_max) == ("gold", 11)
            actions = (
                Act.objects.filter(action__startswith="plan.").order_by("id").values_list("action", "detail__after")
            )
            assert list(actions) == [("plan.created", None), ("plan.changed", {"people_max": 11})]

    def test_the_last_admin_stays(self) -> None:
        one, browser = operators.operator(Role.ADMIN), Browser()
        browser.sign_in(one)
        chosen = {"action": "disable", "_selected_action": str(one.principal.id), "index": "0", "reason": "bye"}
        page = browser.post("/admin/operators/operator/", chosen).content.decode()
        assert "The last admin cannot be removed" in page
        assert browser.get("/admin/").status_code == 200
