"""Where a member types the code that an app without a browser shows (RFC 8628, section 3.3)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from engine.errors import DomainError
from tenants.access import device_grants, scopes
from tenants.access.api import pages
from tenants.access.api.authorize_pages import SIGN_IN_PATH
from tenants.access.models import DeviceAuthorization

_CODE_CHARACTERS_MAX = 20


class ConnectDevice(pages.Page):
    """Find the request by its code, ask, and tell."""

    def get(self, request: HttpRequest, error: str = "", status: int = 200) -> HttpResponse:
        """The form, filled in where the address carries the code; typing it is what proves the device is near."""
        session = pages.session_of(request)
        if session is None:
            return HttpResponseRedirect(f"{SIGN_IN_PATH}?{urlencode({'next': request.get_full_path()})}")
        typed = request.GET.get("user_code", "")[:_CODE_CHARACTERS_MAX]
        form = pages.proof(str(session.id), "user-code")
        return pages.show(request, "user_code", status=status, error=error, user_code=typed, proof=form)

    def post(self, request: HttpRequest) -> HttpResponse:
        """The code, or the answer."""
        session = pages.session_of(request)
        if session is None:
            return self.get(request)
        try:
            waiting = device_grants.waiting(
                user_code=request.POST.get("user_code", "")[:_CODE_CHARACTERS_MAX], member=session.user
            )
            granted = scopes.lent(waiting.scopes, by=session.user.principal)
            about = (str(session.id), str(waiting.id), *granted)
            if request.POST.get("decision") in {"allow", "deny"}:
                if pages.is_proven(request, *about):
                    return self._decided(request, session, waiting, granted)
            elif pages.is_proven(request, str(session.id), "user-code"):
                return self._asked(request, session, waiting, granted, pages.proof(*about))
        except DomainError as error:
            return self.get(request, error=error.title, status=error.status)
        return self.get(request, error="Please try again.", status=403)

    def _asked(
        self,
        request: HttpRequest,
        session: Any,
        waiting: DeviceAuthorization,
        granted: list[str],
        proof: str,
    ) -> HttpResponse:
        return pages.show(
            request,
            "consent",
            app=waiting.app.name,
            member=session.user.email,
            meanings=[scopes.meaning(scope) for scope in granted],
            user_code=request.POST["user_code"][:_CODE_CHARACTERS_MAX],
            proof=proof,
        )

    def _decided(
        self, request: HttpRequest, session: Any, waiting: DeviceAuthorization, granted: list[str]
    ) -> HttpResponse:
        approved = request.POST["decision"] == "allow" and bool(granted)
        device_grants.decide(
            request=waiting,
            member=session.user,
            approved=approved,
            scopes=granted,
            authenticated_at=session.principal.authenticated_at,
            mfa_at=session.mfa_at,
        )
        if approved:
            return pages.message(request, "Done", f"{waiting.app.name} goes on by itself. You can close this page.")
        return pages.message(request, "Denied", f"{waiting.app.name} gets nothing. You can close this page.")
