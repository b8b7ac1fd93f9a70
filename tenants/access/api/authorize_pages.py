"""The authorization endpoint: a member says in a browser what an app may do (RFC 6749, OpenID Connect Core)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from oauthlib.common import add_params_to_uri

from engine.clock import utc_now
from engine.errors import DomainError
from engine.tenancy.context import current_organization
from shared.accounts import passwords, second_factors
from shared.accounts import services as accounts
from shared.accounts.api.views import remember_browser, whence
from tenants.access import authorizations, requests, scopes
from tenants.access.api import pages
from tenants.access.requests import Asked

SIGN_IN_PATH = "/oauth/sign-in"


class Authorize(pages.Page):
    """Ask the member, and send the answer to the app."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """The question, once the request is in order and somebody is signed in."""
        try:
            asked = requests.read(request.GET.lists())
        except requests.Unanswerable as error:
            return pages.message(request, "This link does not work", str(error), status=400)
        except requests.Refused as error:
            return _answer(error.redirect_uri, error.parameters)
        session = pages.session_of(request)
        if session is None or _wants_sign_in(asked, session):
            if "none" in asked.prompt:
                return _refusal(asked, "login_required")
            return HttpResponseRedirect(f"{SIGN_IN_PATH}?{urlencode({'next': _without_login(request)})}")
        granted = scopes.lent(asked.scopes, by=session.user.principal)
        if not granted:
            return _refusal(asked, "access_denied", "The member holds nothing of this.")
        if "none" in asked.prompt:
            return _refusal(asked, "consent_required")
        if request.method == "POST":
            return self._decided(request, asked, session, granted)
        return pages.show(
            request,
            "consent",
            answers_to=asked.redirect_uri,
            app=asked.app.name,
            member=session.user.email,
            meanings=[scopes.meaning(scope) for scope in granted],
            destination=pages.destination(asked.redirect_uri),
            proof=pages.proof(str(session.id), asked.fingerprint, *granted),
        )

    def post(self, request: HttpRequest) -> HttpResponse:
        """The answer. Everything is looked at again: the form carries no more than yes or no."""
        return self.get(request)

    def _decided(self, request: HttpRequest, asked: Asked, session: Any, granted: list[str]) -> HttpResponse:
        if not pages.is_proven(request, str(session.id), asked.fingerprint, *granted):
            return pages.message(request, "Please start again", "What you were asked has changed.", status=403)
        if request.POST.get("decision") != "allow":
            return _refusal(asked, "access_denied", "The member said no.")
        code = authorizations.issue_code(
            app=asked.app,
            member=session.user,
            scopes=granted,
            redirect_uri=asked.redirect_uri,
            code_challenge=asked.code_challenge,
            nonce=asked.nonce,
            authenticated_at=session.principal.authenticated_at,
            mfa_at=session.mfa_at,
        )
        return _answer(asked.redirect_uri, {"code": code, "state": asked.state})


class SignIn(pages.Page):
    """Sign in to go on with a page of ours."""

    def get(self, request: HttpRequest, error: str = "", status: int = 200) -> HttpResponse:
        """The form."""
        wanted = _own_path(request)
        return pages.show(request, "sign_in", status=status, error=error, proof=pages.proof("sign-in", wanted))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Sign in, and go on."""
        wanted = _own_path(request)
        if not pages.is_proven(request, "sign-in", wanted):
            return self.get(request, error="Please try again.", status=403)
        try:
            session, token = accounts.sign_in(
                email=request.POST.get("email", "")[:254],
                password=request.POST.get("password", "")[: passwords.CHARACTERS_MAX],
                code=request.POST.get("code", "")[:20] or None,
                **whence(request),
            )
        except DomainError as error:
            return self.get(request, error=error.title, status=error.status)
        if second_factors.required() and session.mfa_at is None:
            accounts.sign_out(session=session)
            return self.get(request, error="Your organization asks for a second factor: add one first.", status=403)
        answer = HttpResponseRedirect(wanted)
        answer.set_cookie(
            pages.COOKIE,
            token,
            max_age=int(accounts.SESSION_LIFETIME.total_seconds()),
            path="/",
            secure=True,
            httponly=True,
            # Not Strict: whoever comes from an app is signed in already.
            samesite="Lax",
        )
        remember_browser(request, answer, session)
        return answer


def _wants_sign_in(asked: Asked, session: Any) -> bool:
    if "login" in asked.prompt:
        return True
    return asked.max_age_s is not None and utc_now() - session.principal.authenticated_at > timedelta(
        seconds=asked.max_age_s
    )


def _without_login(request: HttpRequest) -> str:
    """The same request once the member has signed in anew: it asks for that no more, nor for how long ago."""
    pairs = [(name, value) for name, values in request.GET.lists() for value in values if name != "max_age"]
    kept = [(name, " ".join(set(value.split()) - {"login"}) if name == "prompt" else value) for name, value in pairs]
    return f"{request.path}?{urlencode([(name, value) for name, value in kept if value])}"


def _own_path(request: HttpRequest) -> str:
    """Where to go on: a page of ours under /oauth/, whatever else was asked for."""
    wanted = request.GET.get("next", "")
    fits = wanted.startswith("/oauth/") and wanted.isascii() and wanted.isprintable() and "\\" not in wanted
    return wanted if fits else "/oauth/device"


def _refusal(asked: Asked, error: str, description: str = "") -> HttpResponse:
    return _answer(asked.redirect_uri, {"error": error, "error_description": description, "state": asked.state})


def _answer(redirect_uri: str, parameters: dict[str, str]) -> HttpResponse:
    """Back to the app, with our name on it (RFC 9207)."""
    sent = [(name, value) for name, value in parameters.items() if value]
    answer = HttpResponse(status=303)
    answer.headers["Location"] = add_params_to_uri(redirect_uri, [*sent, ("iss", current_organization().issuer)])
    return answer
