"""The admin site: our own sign-in with password and one-time code, our own sessions, no inline script.

There is no session of Django's: the cookie holds the token of an `accounts.Session`, so that signing out,
ending a session and disabling an operator end the pages too, at once. See docs/adr/0075.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.messages.storage.cookie import CookieStorage
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect

from engine.api.throttles import client_address
from engine.errors import DomainError
from engine.principals import Principal
from provisioning.fleet import status as fleet
from shared.accounts import passwords
from shared.accounts import services as accounts
from shared.operators import rules
from shared.operators import selectors as operators

COOKIE = "__Host-keystead-operator"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
View = Callable[..., HttpResponse]


@dataclass(frozen=True, slots=True)
class Staff:
    """What Django's admin calls a user: an operator with a role, or nobody."""

    principal: Principal | None = None
    role: str = ""

    is_anonymous = False

    @property
    def is_authenticated(self) -> bool:
        return bool(self.role)

    is_active = is_staff = is_authenticated

    @property
    def may_write(self) -> bool:
        return rules.allows(self.role, write=True)

    @property
    def pk(self) -> Any:
        return self.principal.id if self.principal else None

    def get_username(self) -> str:
        return f"{self.principal.display} ({self.role})" if self.principal else ""

    def has_usable_password(self) -> bool:
        """False, so that the page offers no change of a password past our own services."""
        return False

    def has_perm(self, permission: str, obj: Any = None) -> bool:
        """Asked by templates; the pages ask `may_write`."""
        return self.may_write


class SignInForm(forms.Form):
    email = forms.CharField(max_length=254, widget=forms.EmailInput(attrs={"autofocus": True}))
    password = forms.CharField(max_length=passwords.CHARACTERS_MAX, strip=False, widget=forms.PasswordInput)
    code = forms.CharField(
        max_length=20,
        label="One-time code",
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )


class _Messages(CookieStorage):
    cookie_name = "__Host-keystead-messages"


class OperatorsSite(AdminSite):
    site_header = site_title = "Keystead platform"
    index_title = "Organizations and staff"
    site_url = None
    index_template = "keystead_admin/index.html"

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether an operator with a role is signed in. Leaves who it is on the request."""
        request.user = _staff(request)  # type: ignore[assignment]
        return request.user.is_authenticated

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Django's, with our headers and with messages in a cookie."""
        return _finished(super().admin_view(view, cacheable))

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Without Django's change of passwords; with the fleet."""
        kept = [one for one in super().get_urls() if "password" not in (getattr(one, "name", "") or "")]
        return [path("fleet/", self.admin_view(self.fleet), name="fleet"), *kept]

    def fleet(self, request: HttpRequest) -> HttpResponse:
        """How many organizations there are, and which migrations they have."""
        context = {**self.each_context(request), "title": "Fleet", "fleet": fleet.figures()}
        return TemplateResponse(request, "keystead_admin/fleet.html", context)

    @method_decorator(never_cache)
    @method_decorator(csrf_protect)
    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Password and one-time code, counted and refused as at the API."""
        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        form = SignInForm(request.POST or None)
        answer = self._signed_in(request, form) if form.is_valid() else None
        if answer is None:
            request.user = Staff()  # type: ignore[assignment]
            context = {**self.each_context(request), "title": "Sign in", "form": form}
            answer = TemplateResponse(request, "keystead_admin/login.html", context)
        return _with_headers(answer)

    def logout(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:  # type: ignore[override]
        """End the session, not only the cookie."""
        session = accounts.authenticate(token=request.COOKIES.get(COOKIE, ""))
        if session is not None:
            accounts.sign_out(session=session)
        answer = HttpResponseRedirect(reverse("admin:login"))
        answer.delete_cookie(COOKIE, path="/", samesite="Strict")
        return answer

    def _signed_in(self, request: HttpRequest, form: SignInForm) -> HttpResponse | None:
        given = form.cleaned_data
        try:
            session, token = accounts.sign_in(
                email=given["email"],
                password=given["password"],
                code=given["code"],
                address=client_address(request) or None,
                user_agent=request.META.get("HTTP_USER_AGENT", ""),
            )
        except DomainError as error:
            form.add_error(None, error.title)
            return None
        if not operators.role_of(operator_id=session.user_id):
            accounts.sign_out(session=session)
            form.add_error(None, "This account has no role.")
            return None
        wanted = request.GET.get("next", "")
        safe = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)
        answer = HttpResponseRedirect(wanted if safe and wanted else reverse("admin:index"))
        answer.set_cookie(
            COOKIE,
            token,
            max_age=int(accounts.SESSION_LIFETIME.total_seconds()),
            path="/",
            secure=True,
            httponly=True,
            samesite="Strict",
        )
        return answer


def _staff(request: HttpRequest) -> Staff:
    session = accounts.authenticate(token=request.COOKIES.get(COOKIE, ""))
    if session is None:
        return Staff()
    return Staff(principal=session.user.principal, role=operators.role_of(operator_id=session.user_id))


def _finished(view: View) -> View:
    def finished(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        messages = _Messages(request)
        request._messages = messages  # type: ignore[attr-defined]
        response = view(request, *args, **kwargs)
        if isinstance(response, TemplateResponse):
            # Before the messages are written back: rendering is what uses them up.
            response.render()
        messages.update(response)
        return _with_headers(response)

    return finished


def _with_headers(response: HttpResponse) -> HttpResponse:
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Cache-Control"] = "no-store"
    return response


site = OperatorsSite(name="admin")
